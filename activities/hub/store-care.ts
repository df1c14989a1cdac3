/**
 * What all care for a store begins with: the store of the operation, opened, and found to be this hub's own.
 *
 * The one idea: the hub counts on what it writes as a transfer does, so its writes strike the object from what is condemned first.
 */
import { join } from "node:path";
import { Context } from "@temporalio/activity";
import { z } from "zod";
import { careOf, forgetDamage, noteCare, recordFindings } from "../../db/care.ts";
import {
  claimRemovals,
  condemn,
  condemnedPage,
  condemnedTotals,
  countOn,
  forgetRemoved,
  removalHorizon,
  spareObjects,
} from "../../db/condemned.ts";
import type { Database } from "../../db/connect.ts";
import { recordEvent } from "../../db/events.ts";
import { writeProgress } from "../../db/steps.ts";
import type { Finding } from "../../domain/catalog/care.ts";
import { FaultError } from "../../domain/errors.ts";
import { StoreId } from "../../domain/ids.ts";
import { checkIdentity } from "../../images/check.ts";
import type { Ledger } from "../../images/collect.ts";
import { packKey } from "../../images/format.ts";
import { identityKey, readIdentity } from "../../stores/identity.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import { openRate } from "../host/reporter.ts";
import { underWay } from "./under-way.ts";

export type WholeStore = Pick<ObjectStore, "read" | "write" | "size" | "list" | "remove">;

export interface Caring {
  readonly db: Database;
  readonly hubId: string;
  readonly openStore: (storeId: string) => Promise<WholeStore>;
  /** For tables that are too long for memory; each activity has a folder of its own below it. */
  readonly workFolder: string;
  /** How long what nothing needs is kept: longer than any grant lives. */
  readonly graceMs: number;
  /** How much of a store one scrub reads where nobody says otherwise. */
  readonly scrubShare: number;
}

const StoreInput = z.object({ storeId: StoreId });

export interface Cared {
  readonly operationId: string;
  readonly storeId: string;
  readonly store: WholeStore;
  readonly folder: string;
  readonly ledger: Ledger;
  readonly signal: AbortSignal;
  /** Tells how far the step is, now and then. */
  readonly progress: (doneBytes: number, totalBytes: number) => void;
}

/** Fails with `store_foreign` where another hub owns the store: its objects are not ours to judge. `anyOwner`: for a look that tells so itself. */
export async function openCared(
  caring: Caring,
  { operationId, step }: { operationId: string; step: string },
  { anyOwner = false } = {},
): Promise<Cared> {
  const { db, hubId } = caring;
  const { input } = await db.transaction((tx) => underWay(tx, operationId, StoreInput));
  const { storeId } = input;
  const { cancellationSignal: signal } = Context.current();
  const store = await caring.openStore(storeId);
  if (!anyOwner) await mustBeOurs({ db, hubId }, storeId, store, signal);
  return caredStore(caring, { operationId, storeId, store, step, signal });
}

export function caredStore(
  { db, workFolder, graceMs }: Pick<Caring, "db" | "workFolder" | "graceMs">,
  { operationId, storeId, store, step, signal }: Pick<Cared, "operationId" | "storeId" | "store" | "signal"> & { step: string },
): Cared {
  return {
    operationId,
    storeId,
    store: countingOn(db, storeId, store),
    folder: join(workFolder, `${operationId}-${step.replaceAll(" ", "-")}`),
    ledger: ledgerOf(db, storeId, graceMs),
    signal,
    progress: teller(db, operationId, step),
  };
}

async function mustBeOurs(
  { db, hubId }: Pick<Caring, "db" | "hubId">,
  storeId: string,
  store: WholeStore,
  signal: AbortSignal,
): Promise<void> {
  const known = await careOf(db, storeId);
  const [wrong] = await checkIdentity(store, { hubId, storeId: known.identity }, signal);
  if (wrong)
    throw new FaultError({
      code: "store_foreign",
      message: `The store's identity (${identityKey}) is not ours: ${wrong.problem}`,
      subject: storeId,
    });
  const identity = await readIdentity(store, signal);
  if (known.identity === null && identity) await noteCare(db, storeId, { identity: identity.storeId });
}

function countingOn(db: Database, storeId: string, store: WholeStore): WholeStore {
  return {
    ...store,
    write: async (key, body, sha256, signal) => {
      const [leaving] = await countOn(db, storeId, [key]);
      if (leaving)
        throw new FaultError({ code: "object_leaving", message: `The object ${key} is just being removed from its store.`, subject: key });
      // An attempt that died may have brought it: a pack is asked for, only now that nobody removes it, before it travels.
      if (key === packKey(sha256) && (await store.size(key)) === body.byteLength) return "present";
      return store.write(key, body, sha256, signal);
    },
  };
}

const ledgerOf = (db: Database, storeId: string, graceMs: number): Ledger => ({
  condemn: (objects) => condemn(db, storeId, objects),
  horizon: () => removalHorizon(db, storeId, graceMs),
  page: (ask) => condemnedPage(db, storeId, ask),
  claim: (keys, before) => claimRemovals(db, storeId, keys, before),
  spare: (keys) => spareObjects(db, storeId, keys),
  forget: async (keys) => {
    await forgetRemoved(db, storeId, keys);
    for (const key of keys) await forgetDamage(db, storeId, key);
  },
});

export const waiting = async (db: Database, storeId: string) => {
  const { objects, bytes } = await condemnedTotals(db, storeId);
  return { waitingObjects: objects, waitingBytes: bytes };
};

/** Work does not wait for what is told of it, and does not fail by it. */
function teller(db: Database, operationId: string, step: string): Cared["progress"] {
  const rate = openRate();
  return (doneBytes, totalBytes) => {
    const timing = rate.at(Date.now(), { doneBytes, totalBytes });
    if (timing) void writeProgress(db, operationId, step, { doneBytes, totalBytes, ...timing }).catch(() => undefined);
  };
}

/** As many findings as an operator reads; all of them stand in the hub's rows. */
const toldFindings = 50;

/** Keeps what was found, tells what is new, and marks the versions that are hurt. */
export async function keepFindings(
  db: Database,
  { operationId, storeId }: Pick<Cared, "operationId" | "storeId">,
  found: { findings: readonly Finding[]; looked: (known: Finding) => boolean },
): Promise<{ findings: Finding[]; found: number }> {
  await db.transaction(async (tx) => {
    for (const { key, problem, digests } of await recordFindings(tx, storeId, found))
      await recordEvent(tx, { type: "image", name: "image.damaged", subjectId: storeId, operationId, body: { key, problem, digests } });
  });
  return { findings: found.findings.slice(0, toldFindings), found: found.findings.length };
}
