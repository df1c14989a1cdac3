/**
 * What callers ask about images of the Parallels DevOps service: to import one, and to write one of ours as it keeps them.
 *
 * The one idea: both are operations on one version; an import holds its name, so that no push writes it meanwhile.
 */
import type { Database } from "../db/connect.ts";
import { imageSubject } from "../db/holds.ts";
import { findImage } from "../db/images.ts";
import { findDefaultStore, findStore } from "../db/stores.ts";
import type { NewExport, NewImport } from "../domain/catalog/archives.ts";
import { mayPublish, mayWriteTo } from "../domain/catalog/publishing.ts";
import { imageName, type ImageKey } from "../domain/catalog/rules.ts";
import { unwrap, type Result } from "../domain/errors.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { ExportInput } from "../workflows/catalog/export.ts";
import type { ImportInput } from "../workflows/catalog/import.ts";
import { chooseImage, workingHost, type Own } from "./catalog.ts";
import { holderOf, startOperation, type Asked, type Control, type Draft } from "./start.ts";

/** Brings an image of the Parallels DevOps service into the catalog. */
export async function requestImport(control: Control, wanted: NewImport, asked: Asked): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx): Promise<Draft> => {
    const { catalogId, version, architecture, convert, onFault } = wanted;
    const { project } = asked.actor;
    const name = imageName({ catalogId, version, architecture });
    await mustBeSeen(tx, project, wanted, asked);
    const store = unwrap(await findStore(tx, wanted.storeId));
    const target = unwrap(convert?.storeId === undefined ? await findDefaultStore(tx) : await findStore(tx, convert.storeId));
    if (convert) unwrap(mayWriteTo(target));
    const hostId = convert?.hostId ?? null;
    if (hostId !== null) await workingHost(tx, hostId);
    const workflowInput: Own<ImportInput> = { hostId };
    return {
      verb: "import",
      subject: name,
      workflowSubject: name,
      workflowType: "import",
      workflowInput: { ...workflowInput },
      hostId,
      image: name,
      onFault,
      input: { ...wanted, storeId: store.id, targetId: target.id, holder: holderOf(asked.actor) },
      holds: [{ ...imageSubject(project, name), mode: "exclusive" }],
    };
  });
}

/** A version that is somebody else's is told at once; whether the archive is the same as before, only the store can say. */
async function mustBeSeen(tx: Database, project: string, key: ImageKey, { actor }: Asked): Promise<void> {
  const existing = await findImage(tx, project, key);
  if (existing.ok) unwrap(mayPublish({ existing: existing.value, holder: holderOf(actor), digest: null, replace: false }));
}

/** Writes an image into a store as the Parallels DevOps service keeps it. */
export async function requestExport(control: Control, key: ImageKey, wanted: NewExport, asked: Asked): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx): Promise<Draft> => {
    const holder = holderOf(asked.actor);
    const version = await chooseImage(tx, { project: asked.actor.project, reference: key, preferred: null, holder });
    const store = unwrap(mayWriteTo(unwrap(await findStore(tx, wanted.storeId))));
    const name = imageName(version);
    const workflowInput: Own<ExportInput> = {};
    return {
      verb: "export",
      subject: `${name} to ${store.name}`,
      workflowSubject: name,
      workflowType: "export",
      workflowInput,
      hostId: null,
      image: name,
      onFault: wanted.onFault,
      input: { ...wanted, storeId: store.id, imageVersionId: version.id, holder },
      holds: [],
    };
  });
}
