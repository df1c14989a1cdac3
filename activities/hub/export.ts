/**
 * What the hub does for an export: reads an image from its store and writes it to another as the Parallels DevOps service keeps it.
 *
 * The one idea: the bytes pass through as a stream, so nothing lies on the hub's disk; an attempt that dies leaves an archive without a manifest, which nobody sees,
 * and the next one writes it anew.
 */
import { createHash, randomBytes } from "node:crypto";
import { Context } from "@temporalio/activity";
import { z } from "zod";
import { archivedGeneration } from "../../db/archives.ts";
import { recordAudit } from "../../db/audit.ts";
import type { Database } from "../../db/connect.ts";
import { hasTold, recordEvent } from "../../db/events.ts";
import { keepExport } from "../../db/exports.ts";
import { chooseTree } from "../../db/grants.ts";
import { findImageById } from "../../db/images.ts";
import { writeProgress } from "../../db/steps.ts";
import { NewExport } from "../../domain/catalog/archives.ts";
import { imageName } from "../../domain/catalog/rules.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { manifestKeyOf, writeManifest } from "../../images/pdpack/manifest.ts";
import { archiveBytes } from "../../images/pdpack/pack.ts";
import { storedFiles } from "../../images/pdpack/stored-files.ts";
import type { StoreGate } from "../../images/store-gate.ts";
import { readImage } from "../../images/stored.ts";
import type { LargeObjects } from "../../stores/large-objects.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import type { ExportActivities, ExportPlan, Exported } from "../../workflows/catalog/export.ts";
import { openSlots } from "../host/slots.ts";
import { mustBeAllowed, Permitted } from "./permission.ts";
import { underWay } from "./under-way.ts";

export interface Exporting {
  readonly db: Database;
  readonly openStore: (storeId: string) => Promise<Pick<ObjectStore, "read" | "size">>;
  readonly openLarge: (storeId: string) => Promise<LargeObjects>;
  /** What a store may be given per second; null where it takes all. */
  readonly gate: (storeId: string) => Promise<Pick<StoreGate, "take"> | null>;
}

/** `as`: the names and words that another catalog is to know it by. */
const ExportRequest = NewExport.extend({
  ...Permitted.shape,
  as: z.object({ catalogId: z.string(), requiredRoles: z.array(z.string()), requiredClaims: z.array(z.string()) }).optional(),
});
type ExportRequest = z.infer<typeof ExportRequest>;

/** Each reads, compresses and writes with a processor of its own and up to 200 MB of memory: more would starve what else a hub worker does. */
const exportsAtOnce = 2;

/** Soon enough for people who watch. */
const tellEveryMs = 1_000;

export function exportActivities(parts: Exporting): ExportActivities {
  const { db } = parts;
  const slots = openSlots(exportsAtOnce);
  return {
    authoriseExport: ({ operationId }) =>
      db.transaction(async (tx) => {
        const { input } = await underWay(tx, operationId, ExportRequest);
        const image = unwrap(await findImageById(tx, input.imageVersionId));
        mustBeAllowed(image, input);
        await mustBeFree(await parts.openStore(input.storeId), { ...image, ...input.as }, input);
        const plan = planOf(image);
        // Until it ends, what it reads counts as used.
        await chooseTree(tx, operationId, image);
        return plan;
      }),
    writeArchive: async ({ operationId, step, plan }) => {
      const { input, image } = await db.transaction(async (tx) => {
        const held = await underWay(tx, operationId, ExportRequest);
        return { input: held.input, image: { ...unwrap(await findImageById(tx, plan.imageVersionId)), ...held.input.as } };
      });
      const tell = (doneBytes: number, totalBytes: number) => writeProgress(db, operationId, step, { doneBytes, totalBytes });
      const { cancellationSignal: signal } = Context.current();
      return slots.run(signal, () => writeBoth(parts, { plan, input, image, tell, signal }));
    },
    recordExported: ({ operationId, plan, exported }) =>
      db.transaction(async (tx) => {
        const { operation, input, requestId } = await underWay(tx, operationId, ExportRequest);
        const { imageVersionId, digest } = plan;
        const { packKey, packBytes, md5 } = exported;
        // A version may be removed while it is written.
        if ((await findImageById(tx, imageVersionId)).ok)
          await keepExport(tx, { imageVersionId, storeId: input.storeId, packKey, packBytes, md5, digest });
        if (await hasTold(tx, operationId, "image.exported")) return;
        const { project, actor } = operation;
        const subject = { subjectId: imageVersionId, operationId, project };
        await recordEvent(tx, { type: "image", name: "image.exported", ...subject, body: { image: plan.image, ...exported } });
        await recordAudit(tx, { actor, action: "image.export", subject: plan.image, outcome: "done", operationId, requestId });
      }),
  };
}

/** What lies in an archive already is there for that service, and not here to be read by chunks. */
function planOf(image: ImageVersion): ExportPlan {
  const { id: imageVersionId, digest, generation, storeId } = image;
  const name = imageName(image);
  if (generation !== archivedGeneration) return { imageVersionId, image: name, digest, generation, storeId };
  const message = `The image ${name} is an archive of that service already: copy its two files, or convert it first.`;
  throw new FaultError({ code: "archive_invalid", message, subject: name });
}

async function mustBeFree(store: Pick<ObjectStore, "size">, image: ImageVersion, { replace }: ExportRequest): Promise<void> {
  const key = manifestKeyOf(image);
  if (replace || (await store.size(key)) === null) return;
  throw new FaultError({
    code: "image_exists",
    message: `The store has an archive of ${imageName(image)} already (${key}).`,
    subject: key,
  });
}

interface Writing {
  readonly plan: ExportPlan;
  readonly input: ExportRequest;
  readonly image: ImageVersion;
  readonly tell: (doneBytes: number, totalBytes: number) => Promise<void>;
  readonly signal: AbortSignal;
}

async function writeBoth(parts: Exporting, { plan, input, image, tell, signal }: Writing): Promise<Exported> {
  const manifestKey = manifestKeyOf(image);
  const packKey = manifestKey.replace(/meta$/, "pdpack");
  const target = await parts.openLarge(input.storeId);
  const gate = await parts.gate(input.storeId);
  const store = await parts.openStore(plan.storeId);
  const stored = await readImage(store, plan, signal);
  const links = stored.tree.entries.filter(({ kind }) => kind === "link");
  if (links[0]) throw linked(plan.image, links[0].path);
  const files = storedFiles(store, stored, signal);
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const md5 = createHash("md5");
  let packBytes = 0;
  const counted = async function* () {
    for await (const part of archiveBytes(observed(files, totalBytes, tell), input.compress)) {
      md5.update(part);
      packBytes += part.byteLength;
      await gate?.take(part.byteLength, signal);
      yield part;
    }
  };
  await target.write(packKey, counted(), signal);
  const written = { packKey, packBytes, md5: md5.digest("hex"), logicalBytes: totalBytes };
  const contents = stored.tree.entries.flatMap((entry) =>
    entry.path === "" || entry.kind === "link"
      ? []
      : [{ path: entry.path, kind: entry.kind, mtimeMs: entry.mtimeMs, bytes: entry.kind === "file" ? entry.bytes : 0 }],
  );
  const about = { id: randomBytes(32).toString("hex"), compressed: input.compress, createdAt: image.createdAt, writtenAt: new Date() };
  const manifest = writeManifest(image, { ...about, ...written, contents });
  await target.write(manifestKey, one(manifest), signal);
  return written;
}

/** The same files, with how far their reader is told as it goes. */
function observed(files: ReturnType<typeof storedFiles>, totalBytes: number, tell: Writing["tell"]): ReturnType<typeof storedFiles> {
  let doneBytes = 0;
  let told = performance.now();
  return files.map((file) => ({
    ...file,
    content: async function* () {
      for await (const part of file.content()) {
        yield part;
        doneBytes += part.byteLength;
        if (performance.now() - told < tellEveryMs) continue;
        told = performance.now();
        await tell(doneBytes, totalBytes);
      }
    },
  }));
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const linked = (image: string, path: string) =>
  new FaultError({
    code: "archive_invalid",
    message: `The image ${image} cannot be written as an archive: "${path}" is a link, which that service does not keep.`,
    subject: image,
  });
