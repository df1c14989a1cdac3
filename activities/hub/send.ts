/**
 * What the hub does for a push through a catalog manager: pushes the bundle here, and tells the other catalog of the archive that was made of it.
 *
 * The one idea: the other catalog gets the archive's own manifest with the place that the caller named, credentials and all; so these are sealed with the
 * operation, and dropped with its end.
 */
import { Context } from "@temporalio/activity";
import { z } from "zod";
import { findCatalogManager } from "../../db/catalog-managers.ts";
import type { Database } from "../../db/connect.ts";
import { sealedInput } from "../../db/grants.ts";
import { changeInput } from "../../db/operations.ts";
import type { CatalogManager, RemoteCatalog } from "../../domain/catalog/managers.ts";
import { architectureOf } from "../../domain/catalog/rules.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap, type Result } from "../../domain/errors.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { manifestKeyOf } from "../../images/pdpack/manifest.ts";
import { readAll, type ObjectStore } from "../../stores/object-store.ts";
import type { SendActivities } from "../../workflows/catalog/export.ts";
import { askedFor, faultBehind, settledOf, type ByKey } from "./another.ts";
import { Holding } from "./permission.ts";
import { underWay } from "./under-way.ts";

export interface Sending {
  readonly db: Database;
  readonly openStore: (storeId: string) => Promise<Pick<ObjectStore, "read">>;
  readonly openRemote: (manager: CatalogManager) => RemoteCatalog;
  readonly openSealed: (sealed: Uint8Array, operationId: string) => Promise<unknown>;
  readonly push: (wanted: NewImageVersion, asked: ByKey) => Promise<Result<Operation>>;
  readonly cancel: (operationId: string, asked: ByKey) => Promise<Result<Operation>>;
}

const SendRequest = z.object({
  holder: Holding,
  storeId: z.string(),
  managerId: z.string(),
  push: NewImageVersion,
  as: z.object({ catalogId: z.string() }),
});
/** Where the other catalog finds the files, as its own records say it. */
const Place = z.object({ type: z.string(), meta: z.record(z.string(), z.string()) });
/** A manifest lists a few files. */
const manifestBytes = 16 * 1024 * 1024;

export function sendActivities(parts: Sending): SendActivities {
  const { db } = parts;
  const request = (operationId: string) => db.transaction((tx) => underWay(tx, operationId, SendRequest));
  return {
    pushBundle: async ({ operationId }) => {
      const { input, ...row } = await request(operationId);
      const asked = askedFor({ ...row, holder: input.holder }, "push through a catalog manager");
      const begun = unwrap(await parts.push({ ...input.push, onFault: row.operation.onFault }, asked));
      const ended = await settledOf(parts, begun.id, asked);
      const imageVersionId = ended.result?.["imageVersionId"];
      if (ended.state === "done") await changeInput(db, operationId, { imageVersionId });
      return { pushedBy: ended.id, fault: faultBehind(ended) };
    },
    registerThere: async ({ operationId, image }) => {
      const { input } = await request(operationId);
      const manager = await findCatalogManager(db, input.managerId);
      if (!manager?.active)
        throw new FaultError({ code: "catalog_manager_not_found", message: "The catalog manager is not there or not active any more." });
      const sealed = await sealedInput(db, operationId);
      const provider = Place.parse(sealed && (await parts.openSealed(sealed, operationId)));
      const [, version = "", architecture = ""] = image.split("/");
      const known = architectureOf(architecture);
      if (!known) throw new FaultError({ code: "internal", message: `${image} names no image.` });
      const key = manifestKeyOf({ catalogId: input.as.catalogId, version, architecture: known });
      const signal = Context.current().cancellationSignal;
      const store = await parts.openStore(input.storeId);
      const manifest: unknown = JSON.parse((await readAll(await store.read(key, null, signal), key, manifestBytes)).toString("utf8"));
      const body = { ...z.record(z.string(), z.unknown()).parse(manifest), provider };
      const { status } = await parts.openRemote(manager).ask({ method: "POST", path: "/catalog", body, signal });
      if (status >= 200 && status < 300) return;
      const message = `The catalog at ${manager.url} does not take the record of ${image}: it answers with status ${status}.`;
      throw new FaultError({ code: status >= 500 ? "remote_unreachable" : "remote_denied", message, subject: manager.url });
    },
  };
}
