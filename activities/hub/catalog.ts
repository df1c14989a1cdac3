/**
 * What the hub knows of images while they travel: what a push starts from and publishes, what a pull may have.
 *
 * The one idea: a version is written only by the newest attempt of its push (the fence), after the store itself has said that it holds every pack.
 */
import { Context } from "@temporalio/activity";
import type { z } from "zod";
import { archivedGeneration, dropArchive, findArchive, standInOf, type ArchiveRow } from "../../db/archives.ts";
import { recordAudit } from "../../db/audit.ts";
import type { Database } from "../../db/connect.ts";
import { hasTold, recordEvent } from "../../db/events.ts";
import { chooseTree } from "../../db/grants.ts";
import { noteCached } from "../../db/host-cache.ts";
import { imageSubject, mustHold } from "../../db/holds.ts";
import {
  changeVersion,
  countDownload,
  findImage,
  findImageById,
  insertVersion,
  lockCatalogId,
  newestTrees,
  treeOfMachine,
} from "../../db/images.ts";
import { locateOperation } from "../../db/operations.ts";
import { mustFit } from "../../db/projects.ts";
import { mayPublish } from "../../domain/catalog/publishing.ts";
import { imageName, type ImageKey } from "../../domain/catalog/rules.ts";
import { NewImageVersion, type BundleFacts, type ImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { StoreId } from "../../domain/ids.ts";
import { checkPacks, readImage } from "../../images/stored.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import type { Wanted, WantedArchive } from "../../workflows/catalog/fetch.ts";
import type { PullActivities } from "../../workflows/catalog/pull.ts";
import type { PushActivities, PushPlan, Upload } from "../../workflows/catalog/push.ts";
import { Holding, mustBeAllowed, Permitted } from "./permission.ts";
import { underWay, type UnderWay } from "./under-way.ts";

export interface Catalog {
  readonly db: Database;
  readonly openStore: (storeId: string) => Promise<Pick<ObjectStore, "read" | "list">>;
}

const PushRequest = NewImageVersion.extend({ storeId: StoreId, holder: Holding });
type Push = UnderWay<z.infer<typeof PushRequest>>;

/** More bases cost a push the reading of their trees and gain little: versions of one image resemble their neighbours. */
const basesRead = 4;

export function pushActivities({ db, openStore }: Catalog): PushActivities {
  return {
    planPush: ({ operationId, facts }) => db.transaction(async (tx) => planPush(tx, await underWay(tx, operationId, PushRequest), facts)),
    checkUpload: async ({ operationId, upload }) => {
      const { input } = await db.transaction((tx) => underWay(tx, operationId, PushRequest));
      const store = await openStore(input.storeId);
      // Ends with its attempt: one that hangs on a store must not keep a place in the worker.
      const { locations } = await readImage(store, upload, Context.current().cancellationSignal);
      await checkPacks(store, locations);
    },
    publishVersion: ({ operationId, facts, upload }) =>
      db.transaction(async (tx) => publish(tx, await underWay(tx, operationId, PushRequest), facts, upload)),
  };
}

export function pullActivities({ db }: { db: Database }): PullActivities {
  return {
    authorisePull: ({ operationId }) =>
      db.transaction(async (tx) => {
        const { input } = await underWay(tx, operationId, Permitted);
        const image = unwrap(await findImageById(tx, input.imageVersionId));
        mustBeAllowed(image, input);
        await chooseTree(tx, operationId, image);
        return wantedOf(tx, image);
      }),
    recordCached: ({ operationId, hostId, fetched }) =>
      db.transaction(async (tx) => {
        const { operation, input } = await underWay(tx, operationId, Permitted);
        const image = await findImageById(tx, input.imageVersionId);
        // Deleted meanwhile: the host has it all the same, and nobody is left to count it for.
        if (!image.ok || (await hasTold(tx, operationId, "image.pulled"))) return;
        const { id, digest, allocatedBytes } = image.value;
        await countDownload(tx, id, operation.actor);
        if (digest === fetched.digest) await noteCached(tx, hostId, { digest, bytes: allocatedBytes });
        await recordEvent(tx, {
          type: "image",
          name: "image.pulled",
          subjectId: id,
          operationId,
          project: operation.project,
          body: { image: imageName(image.value), hostId },
        });
      }),
  };
}

/** An image as a host needs it. */
export async function wantedOf(tx: Database, image: ImageVersion): Promise<Wanted> {
  const { digest, generation, logicalBytes, allocatedBytes, kind } = image;
  const wanted = { digest, generation, logicalBytes, allocatedBytes, kind, image: imageName(image) };
  const archive = generation === archivedGeneration ? await findArchive(tx, image.id) : null;
  return archive ? { ...wanted, archive: wantedArchive(archive) } : wanted;
}

const wantedArchive = (archive: ArchiveRow): WantedArchive => {
  const { packKey, packBytes, md5, logicalBytes, exact, measured } = archive;
  return { packKey, packBytes, md5, logicalBytes, exact, measured, standIn: standInOf(archive) };
};

async function planPush(tx: Database, push: Push, facts: BundleFacts | null): Promise<PushPlan> {
  const { operation, input } = push;
  const { catalogId, storeId } = input;
  const key = keyOf(push, facts);
  if (key) await claimKey(tx, push, key);
  // Told before anything is sent; what it takes is known at the end.
  await mustFit(tx, operation.project, { storageBytes: 0 });
  if (!facts) return { storeId, bases: [] };
  const siblings = await newestTrees(tx, { project: operation.project, catalogId, storeId, limit: basesRead });
  const { hostId } = operation;
  const origin = hostId === null ? [] : await treeOfMachine(tx, { hostId, path: facts.path, machineId: facts.machineId, storeId });
  const known = new Set<string>();
  return { storeId, bases: [...origin, ...siblings].filter(({ digest }) => !known.has(digest) && known.add(digest)) };
}

/** The bundle's own architecture counts where the request named none. */
function keyOf({ input }: Push, facts: BundleFacts | null): ImageKey | null {
  const architecture = input.architecture ?? facts?.architecture;
  return architecture === undefined ? null : { catalogId: input.catalogId, version: input.version, architecture };
}

/** Holds the version against other pushes, and asks whether this one may write it. */
async function claimKey(tx: Database, { operation, input }: Push, key: ImageKey): Promise<void> {
  const { id, project } = operation;
  const name = imageName(key);
  await mustHold(tx, imageSubject(project, name), id, "exclusive");
  await locateOperation(tx, id, { image: name });
  const existing = await findImage(tx, project, key);
  unwrap(mayPublish({ existing: existing.ok ? existing.value : null, holder: input.holder, digest: null, replace: input.replace }));
}

async function publish(
  tx: Database,
  push: Push,
  facts: BundleFacts,
  upload: Upload,
): Promise<{ imageVersionId: string; image: string; replaced: boolean }> {
  const { operation, input } = push;
  const { id: operationId, project } = operation;
  if (push.fence !== upload.fence)
    throw new FaultError({ code: "fenced", message: `A newer attempt of the operation ${operationId} took over.`, subject: operationId });
  const key = keyOf(push, facts);
  if (!key)
    throw new FaultError({ code: "bundle_invalid", message: `The architecture of ${facts.path} is not known.`, subject: facts.path });
  const image = imageName(key);
  await lockCatalogId(tx, project, key.catalogId);
  const found = await findImage(tx, project, key);
  const existing = found.ok ? found.value : null;
  unwrap(mayPublish({ existing, holder: input.holder, digest: upload.digest, replace: input.replace }));
  const repeated = await hasTold(tx, operationId, "image.replaced");
  // The same content again, or this very call again after its answer was lost.
  if (existing && existing.digest === upload.digest && (repeated || !input.replace))
    return { imageVersionId: existing.id, image, replaced: repeated };

  const row = { ...rowOf(push, facts, upload), ...key };
  if (existing) await dropArchive(tx, existing.id);
  const version = existing
    ? await changeVersion(tx, existing.id, keeping(existing, row))
    : await insertVersion(tx, { ...row, id: crypto.randomUUID(), project, createdBy: operation.actor });
  const replaced = existing !== null && existing.digest !== upload.digest;
  const body = { image, digest: upload.digest, newBytes: upload.newBytes };
  await recordEvent(tx, {
    type: "image",
    name: replaced ? "image.replaced" : "image.published",
    subjectId: version.id,
    operationId,
    project,
    body,
  });
  await recordAudit(tx, {
    actor: operation.actor,
    action: "image.publish",
    subject: image,
    outcome: "done",
    operationId,
    requestId: push.requestId,
  });
  return { imageVersionId: version.id, image, replaced };
}

function rowOf({ input }: Push, { kind, guestOs, vcpus, memoryBytes }: BundleFacts, upload: Upload) {
  const { description, tags, requiredRoles, requiredClaims, minimum, probe, storeId } = input;
  const { digest, generation, logicalBytes, allocatedBytes, storedBytes, newBytes } = upload;
  const told = { description, tags, requiredRoles, requiredClaims, minimum, probe, storeId };
  return { ...told, kind, guestOs, vcpus, memoryBytes, digest, generation, logicalBytes, allocatedBytes, storedBytes, newBytes };
}

/** A version that is replaced keeps the tags it has; its other words are those of the push. */
const keeping = <Row extends { tags: string[] }>(existing: ImageVersion, row: Row): Row => ({
  ...row,
  tags: [...new Set([...existing.tags, ...row.tags])],
});
