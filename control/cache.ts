/** Changes of a host's cache, as operations on that host. */
import type { Database } from "../db/connect.ts";
import { findHost } from "../db/hosts.ts";
import { listImages, resolveImages } from "../db/images.ts";
import type { CachePin, CachePrune } from "../domain/catalog/caching.ts";
import { maySee } from "../domain/catalog/rules.ts";
import type { ImageVersion } from "../domain/catalog/schema.ts";
import { FaultError, unwrap, type Result } from "../domain/errors.ts";
import type { Host } from "../domain/hosts/schema.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { CacheChange, CacheInput } from "../workflows/catalog/cache.ts";
import type { Own } from "./catalog.ts";
import { holderOf, startOperation, type Asked, type Control, type Draft } from "./start.ts";

type Reference = CachePin | NonNullable<CachePrune["images"]>[number];

/** Removes what nobody uses and nobody pinned. */
export async function requestPrune(control: Control, host: string, wanted: CachePrune, asked: Asked): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx) => {
    const { images, unusedForSeconds, dryRun, onFault } = wanted;
    const digests = images ? (await Promise.all(images.map((image) => versionsOf(tx, image, asked)))).flat() : null;
    const change: CacheChange = { act: "prune", digests, unusedForMs: unusedForSeconds * 1000, dryRun };
    return draftOf(unwrap(await findHost(tx, host)), change, asked.onFault ?? onFault);
  });
}

/** Keeps an image in the cache, or lets it go with the others again. */
export async function requestPin(
  control: Control,
  host: string,
  { act, image }: { act: "pin" | "unpin"; image: CachePin },
  asked: Asked,
): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx) => {
    const digests = await digestsOf(tx, image, asked);
    return draftOf(unwrap(await findHost(tx, host)), { act, digests }, image.onFault);
  });
}

function draftOf({ id, name }: Host, change: CacheChange, onFault: Draft["onFault"]): Draft {
  const workflowInput: Own<CacheInput> = { hostId: id, change };
  const subject = `${change.act} the cache of ${name}`;
  const common = { verb: "cache", subject, workflowSubject: name, workflowType: "cache" } as const;
  return { ...common, workflowInput: { ...workflowInput }, hostId: id, onFault, input: { change }, holds: [] };
}

/** What goes: without a version every one of that id. */
async function versionsOf(tx: Database, reference: Reference, asked: Asked): Promise<string[]> {
  const { catalogId, version, architecture } = reference;
  if (version !== undefined) return digestsOf(tx, reference, asked);
  const { project } = asked.actor;
  const filter = { project, catalogId, ...(architecture === undefined ? {} : { architecture }) };
  return contentsOf(reference, asked, (await listImages(tx, filter, { cursor: undefined, limit: 500 })).items);
}

/** What is kept: without a version the newest, as everywhere. */
async function digestsOf(tx: Database, reference: Reference, asked: Asked): Promise<string[]> {
  return contentsOf(reference, asked, await resolveImages(tx, asked.actor.project, reference));
}

/** The contents of the versions that whoever asks may see. */
function contentsOf({ catalogId, version, architecture }: Reference, { actor }: Asked, found: readonly ImageVersion[]): string[] {
  const seen = found.filter((image) => maySee(image, holderOf(actor)));
  if (seen.length > 0) return [...new Set(seen.map(({ digest }) => digest))];
  const name = [catalogId, version, architecture].filter((word) => word !== undefined).join("/");
  throw new FaultError({ code: "image_not_found", message: `There is no image ${name}.`, subject: name });
}
