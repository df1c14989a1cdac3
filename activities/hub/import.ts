/**
 * What the hub does for an import: finds the archive, makes it a version, and lets a converted one take the archive's place.
 *
 * The one idea: what the archive is, its manifest says; what its bytes are, the host that unpacks it says. Only when both stand does a conversion publish, and the
 * tree that was pushed must be the tree that was unpacked.
 */
import { Context } from "@temporalio/activity";
import type { z } from "zod";
import {
  archivedGeneration,
  dropArchive,
  findArchive as findArchiveOf,
  keepArchive,
  measureArchive,
  standInOf,
} from "../../db/archives.ts";
import { recordAudit } from "../../db/audit.ts";
import type { Database } from "../../db/connect.ts";
import { recordEvent } from "../../db/events.ts";
import { chooseTarget, chooseTree } from "../../db/grants.ts";
import { changeVersion, findImage, findImageById, insertVersion, lockCatalogId, newestTrees, type NewVersionRow } from "../../db/images.ts";
import { createClaim, createRole, unknownClaims, unknownRoles } from "../../db/roles.ts";
import { accessName } from "../../domain/access/rules.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { NewImport } from "../../domain/catalog/archives.ts";
import { mayPublish } from "../../domain/catalog/publishing.ts";
import { imageName } from "../../domain/catalog/rules.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { StoreId } from "../../domain/ids.ts";
import { changeInput } from "../../db/operations.ts";
import { findInCatalog } from "../../images/pdpack/catalog.ts";
import { checkPacks, readImage } from "../../images/stored.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import type { UnpackedActivities } from "../../workflows/catalog/fetch.ts";
import type { FoundArchive, ImportActivities, Imported } from "../../workflows/catalog/import.ts";
import type { Upload } from "../../workflows/catalog/push.ts";
import { wantedOf } from "./catalog.ts";
import { Holding, Permitted } from "./permission.ts";
import { underWay, type UnderWay } from "./under-way.ts";

export interface Importing {
  readonly db: Database;
  readonly openStore: (storeId: string) => Promise<Pick<ObjectStore, "read" | "list" | "size">>;
}

const ImportRequest = NewImport.extend({ targetId: StoreId, holder: Holding });
type Import = UnderWay<z.infer<typeof ImportRequest>>;

/** As many as a push reads: versions of one image resemble their neighbours. */
const basesRead = 4;

export function importActivities({ db, openStore }: Importing): ImportActivities & UnpackedActivities {
  const request = (tx: Database, operationId: string) => underWay(tx, operationId, ImportRequest);
  return {
    findArchive: async ({ operationId }) => {
      const { input } = await db.transaction((tx) => request(tx, operationId));
      return findArchive(await openStore(input.storeId), input, Context.current().cancellationSignal);
    },
    recordArchive: ({ operationId, found }) => db.transaction(async (tx) => recordArchive(tx, await request(tx, operationId), found)),
    recordUnpacked: ({ operationId, archive, unpacked }) =>
      db.transaction(async (tx) => {
        const { operation, input } = await underWay(tx, operationId, Permitted.pick({ imageVersionId: true }));
        const { machineId } = operation;
        await measureArchive(tx, { imageVersionId: input.imageVersionId, standIn: archive.standIn, machineId }, unpacked);
      }),
    planConversion: ({ operationId }) =>
      db.transaction(async (tx) => {
        const { operation, input } = await request(tx, operationId);
        const { targetId: storeId, catalogId } = input;
        await chooseTarget(tx, operationId, storeId);
        return { storeId, bases: await newestTrees(tx, { project: operation.project, catalogId, storeId, limit: basesRead }) };
      }),
    checkConverted: async ({ operationId, digest, upload }) => {
      const { input } = await db.transaction((tx) => request(tx, operationId));
      if (upload.digest !== digest) {
        const message = `What was pushed (${upload.digest}) is not what was unpacked (${digest}).`;
        throw new FaultError({ code: "content_corrupt", message, subject: digest });
      }
      const store = await openStore(input.targetId);
      const { locations } = await readImage(store, upload, Context.current().cancellationSignal);
      await checkPacks(store, locations);
    },
    publishConverted: ({ operationId, imported, upload }) =>
      db.transaction(async (tx) => publish(tx, await request(tx, operationId), imported, upload)),
  };
}

async function findArchive(
  store: Pick<ObjectStore, "read" | "list" | "size">,
  { archive: told, ...key }: z.infer<typeof ImportRequest>,
  signal: AbortSignal,
): Promise<FoundArchive> {
  if (told) {
    const packBytes = await store.size(told.key);
    if (packBytes === null)
      throw new FaultError({ code: "archive_not_found", message: `The store holds no object ${told.key}.`, subject: told.key });
    const { key: packKey, ...words } = told;
    const unmarked = { minimum: null, tainted: null, untaintedBy: null, revoked: null };
    return { ...words, ...unmarked, packKey, packBytes, md5: null, exact: false };
  }
  const { image, packBytes } = unwrap(await findInCatalog(store, key, signal));
  const { catalogId: _id, version: _version, architecture: _architecture, createdAt: _at, tainted, revoked, ...words } = image;
  return { ...words, packBytes, tainted: asText(tainted), revoked: asText(revoked) };
}

const asText = (mark: { by: string | null; at: Date } | null) => mark && { by: mark.by, at: mark.at.toISOString() };

async function recordArchive(tx: Database, held: Import, found: FoundArchive): Promise<Imported> {
  const { operation, input } = held;
  const { id: operationId, project } = operation;
  const { storeId, catalogId, version, architecture, holder, replace } = input;
  const key = { catalogId, version, architecture };
  await lockCatalogId(tx, project, catalogId);
  const there = await findImage(tx, project, key);
  const existing = there.ok ? there.value : null;
  const row = rowOf(storeId, found);
  const known = existing && (await findArchiveOf(tx, existing.id));
  // The same archive once more, or this very call after its answer was lost: what is known of it stays known.
  const same = known !== null && standInOf(known) === row.digest;
  unwrap(mayPublish({ existing, holder, digest: same ? (existing?.digest ?? null) : row.digest, replace }));
  const image = existing
    ? same
      ? existing
      : await changeVersion(tx, existing.id, row)
    : await insertVersion(tx, { ...row, ...key, id: crypto.randomUUID(), project, createdBy: operation.actor });
  if (!same) {
    const { packKey, packBytes, md5, logicalBytes, exact } = found;
    await keepArchive(tx, { imageVersionId: image.id, storeId, packKey, packBytes, md5, logicalBytes, exact });
    await makeRights(tx, held, row);
    await tell(tx, held, image, "imported", { packKey, packBytes });
  }
  await changeInput(tx, operationId, { imageVersionId: image.id });
  await chooseTree(tx, operationId, image);
  return { imageVersionId: image.id, image: imageName(image), wanted: await wantedOf(tx, image) };
}

/** Until it is unpacked, what its manifest tells stands for what it takes on disk; where that tells nothing, twice the archive. */
function rowOf(storeId: string, found: FoundArchive) {
  const { packKey, packBytes, md5, kind, description, minimum, untaintedBy, tainted, revoked } = found;
  const logicalBytes = found.logicalBytes || 2 * packBytes;
  return {
    kind,
    description,
    minimum,
    untaintedBy,
    storeId,
    logicalBytes,
    allocatedBytes: logicalBytes,
    storedBytes: packBytes,
    newBytes: packBytes,
    digest: standInOf({ storeId, packKey, packBytes, md5 }),
    generation: archivedGeneration,
    guestOs: kind === "macvm" ? "macos" : null,
    vcpus: null,
    memoryBytes: null,
    probe: { kind: "tools" },
    tags: [...found.tags],
    requiredRoles: accessNames(found.requiredRoles),
    requiredClaims: accessNames(found.requiredClaims),
    taintedBy: tainted?.by ?? null,
    taintedAt: tainted && new Date(tainted.at),
    revokedBy: revoked?.by ?? null,
    revokedAt: revoked && new Date(revoked.at),
  } satisfies Partial<NewVersionRow>;
}

const accessNames = (words: readonly string[]): string[] => [...new Set(words.map(accessName).filter((word) => word !== ""))];

/** Roles and claims that nobody has yet can be given from now on; a new role brings no claim, so nobody gains anything by an import. */
async function makeRights(
  tx: Database,
  { operation: { id: operationId, actor }, requestId }: Import,
  { requiredRoles, requiredClaims }: ReturnType<typeof rowOf>,
): Promise<void> {
  const told = (action: string, subject: string) => recordAudit(tx, { actor, action, subject, outcome: "done", operationId, requestId });
  for (const id of await unknownRoles(tx, requiredRoles)) if (await createRole(tx, id, [])) await told("role.added", id);
  for (const id of await unknownClaims(tx, requiredClaims)) if (await createClaim(tx, id)) await told("claim.added", id);
}

async function publish(tx: Database, held: Import, { imageVersionId, image: name }: Imported, upload: Upload): Promise<{ digest: string }> {
  const { operation, fence, input } = held;
  if (fence !== upload.fence)
    throw new FaultError({ code: "fenced", message: `A newer attempt of the operation ${operation.id} took over.`, subject: operation.id });
  const { digest, generation, storedBytes, newBytes } = upload;
  await lockCatalogId(tx, operation.project, input.catalogId);
  const image = unwrap(await findImageById(tx, imageVersionId));
  if (image.digest !== digest)
    throw new FaultError({ code: "image_busy", message: `The image ${name} was given other content meanwhile.`, subject: name });
  if (image.generation === archivedGeneration) {
    await changeVersion(tx, imageVersionId, { storeId: input.targetId, generation, storedBytes, newBytes });
    await dropArchive(tx, imageVersionId);
    await tell(tx, held, image, "converted", { digest, newBytes });
  }
  return { digest };
}

async function tell(
  tx: Database,
  { operation: { id: operationId, project, actor }, requestId }: Import,
  image: ImageVersion,
  how: "imported" | "converted",
  facts: Record<string, unknown>,
): Promise<void> {
  const body = { image: imageName(image), ...facts };
  await recordEvent(tx, { type: "image", name: `image.${how}`, subjectId: image.id, operationId, project, body });
  const told = { action: how === "imported" ? "image.import" : "image.convert", subject: imageName(image) };
  await recordAudit(tx, { actor, ...told, outcome: "done", operationId, requestId });
}
