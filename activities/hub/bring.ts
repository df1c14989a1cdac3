/**
 * What the hub does for images behind catalog managers: keeps another hub's archive in a store, and has a machine made of it.
 *
 * The one idea: an archive gets its key when all of it is there, so one that is found was copied whole; and the machine is made by an operation of its own,
 * asked for under this one's id, so that asking again finds it.
 */
import { Context } from "@temporalio/activity";
import { z } from "zod";
import { findCatalogManager } from "../../db/catalog-managers.ts";
import type { Database } from "../../db/connect.ts";
import { writeProgress } from "../../db/steps.ts";
import type { CatalogManager, RemoteCatalog } from "../../domain/catalog/managers.ts";
import { FaultError, unwrap, type Result } from "../../domain/errors.ts";
import { NewMachine, type Machine } from "../../domain/machines/schema.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { LargeObjects } from "../../stores/large-objects.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import type { BringActivities } from "../../workflows/catalog/import.ts";
import { askedFor, faultBehind, settledOf, type ByKey } from "./another.ts";
import { Holding } from "./permission.ts";
import { underWay } from "./under-way.ts";

export interface Bringing {
  readonly db: Database;
  readonly openStore: (storeId: string) => Promise<Pick<ObjectStore, "size">>;
  readonly openLarge: (storeId: string) => Promise<LargeObjects>;
  readonly openRemote: (manager: CatalogManager) => RemoteCatalog;
  readonly provision: (wanted: NewMachine, asked: ByKey) => Promise<Result<{ operation: Operation; machine: Machine }>>;
  readonly cancel: (operationId: string, asked: ByKey) => Promise<Result<Operation>>;
}

const BringRequest = z.object({
  holder: Holding,
  storeId: z.string(),
  archive: z.object({ key: z.string() }),
  managerId: z.string(),
  remotePath: z.string(),
  machine: NewMachine,
});

/** Soon enough for people who watch. */
const tellEveryMs = 1_000;

export function bringActivities(parts: Bringing): BringActivities {
  const { db } = parts;
  const request = (operationId: string) => db.transaction((tx) => underWay(tx, operationId, BringRequest));
  return {
    copyArchive: async ({ operationId, step }) => {
      const { input } = await request(operationId);
      const { storeId, managerId, remotePath } = input;
      const { key } = input.archive;
      if ((await (await parts.openStore(storeId)).size(key)) !== null) return { copied: false };
      const manager = await findCatalogManager(db, managerId);
      if (!manager?.active)
        throw new FaultError({ code: "catalog_manager_not_found", message: "The catalog manager is not there or not active any more." });
      const signal = Context.current().cancellationSignal;
      const bytes = await parts.openRemote(manager).download(remotePath, signal);
      // How much it will be, nobody knows: the other side makes it on the way.
      const tell = (doneBytes: number) => writeProgress(db, operationId, step, { doneBytes, totalBytes: 0 });
      await (await parts.openLarge(storeId)).write(key, observed(bytes, manager.url, tell), signal);
      return { copied: true };
    },
    makeMachine: async ({ operationId }) => {
      const { operation, actorId, requestId, input } = await request(operationId);
      const asked = askedFor({ operation, actorId, requestId, holder: input.holder }, "machine of an image behind a catalog manager");
      const begun = unwrap(await parts.provision({ ...input.machine, onFault: operation.onFault }, asked));
      const ended = await settledOf(parts, begun.operation.id, asked);
      return { machineId: begun.machine.id, madeBy: ended.id, fault: faultBehind(ended) };
    },
  };
}

async function* observed(
  bytes: AsyncIterable<Uint8Array>,
  from: string,
  tell: (bytes: number) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let doneBytes = 0;
  let told = performance.now();
  try {
    for await (const part of bytes) {
      yield part;
      doneBytes += part.byteLength;
      if (performance.now() - told < tellEveryMs) continue;
      told = performance.now();
      await tell(doneBytes);
    }
  } catch (cause) {
    if (cause instanceof FaultError) throw cause;
    const message = `The download from ${from} broke off after ${doneBytes} bytes.`;
    throw new FaultError({ code: "remote_unreachable", message, subject: from }, { cause });
  }
}
