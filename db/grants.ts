/**
 * What a transfer may touch, told from the rows of its operation.
 *
 * The one idea: a grant follows from what was asked of the hub, never from what the host says that it needs.
 */
import { and, eq, gt, sql } from "drizzle-orm";
import { z } from "zod";
import { mayPull } from "../domain/catalog/rules.ts";
import { FaultError, unwrap } from "../domain/errors.ts";
import { Sha256, Uuid } from "../domain/ids.ts";
import { isSettled } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import { archivedGeneration, findArchive, standInOf } from "./archives.ts";
import type { Database } from "./connect.ts";
import { findImageById } from "./images.ts";
import { changeInput, drawFence, readOperation } from "./operations.ts";
import { imageVersions, operations } from "./schema.ts";

/** Who asks: the host that an operation runs on, or the caller's own computer that has the right to one push. */
export type Holder = { readonly hostId: string } | { readonly operationId: string };

export interface GrantSubject {
  readonly operation: Operation;
  readonly input: Readonly<Record<string, unknown>>;
  readonly fence: number;
}

/** The operation, if it has not ended and is this holder's; draws a new fence when an attempt begins, else compares the one that is told. */
export async function grantSubject(
  db: Database,
  ask: { operationId: string; holder: Holder; begin: boolean; fence?: number | undefined },
): Promise<GrantSubject> {
  return db.transaction(async (tx) => {
    const { operation, input, fence } = unwrap(await readOperation(tx, ask.operationId, { lock: ask.begin }));
    const theirs =
      "hostId" in ask.holder
        ? operation.hostId === ask.holder.hostId
        : operation.hostId === null && operation.id === ask.holder.operationId;
    if (!theirs) throw refused(operation.id, "does not run here");
    if (isSettled(operation.state)) throw refused(operation.id, "has ended");
    if (ask.begin) await mustStillBeFree(tx, operation, input);
    if (ask.begin) return { operation, input, fence: await drawFence(tx, operation.id) };
    if (ask.fence === undefined || ask.fence === fence) return { operation, input, fence };
    const message = `Attempt ${ask.fence} of operation ${operation.id} was replaced by attempt ${fence}.`;
    throw new FaultError({ code: "fenced", message, subject: operation.id });
  });
}

/** The operation's sealed input, or null when nothing was sealed. */
export async function sealedInput(db: Database, operationId: string): Promise<Uint8Array | null> {
  const [row] = await db.select({ sealed: operations.sealed }).from(operations).where(eq(operations.id, operationId));
  return row?.sealed ?? null;
}

export interface GrantScope {
  readonly storeId: string;
  /** Trees whose list and locations may be read. */
  readonly trees: readonly { digest: string; generation: number }[];
  /** Whether the packs of these trees may be read too, or new ones written. */
  readonly packs: "read" | "write";
  /** The key of an archive of the Parallels DevOps service that may be read. */
  readonly archive?: string | undefined;
}

const PushInput = z.object({ storeId: Uuid, catalogId: z.string() });
const ChosenTree = z.object({ storeId: Uuid, digest: Sha256, generation: z.int().positive() });
type ChosenTree = z.infer<typeof ChosenTree>;
const ChosenArchive = z.object({ storeId: Uuid, archive: z.string() });
const FetchInput = z.object({ chosen: z.union([ChosenTree, ChosenArchive]).optional() });
/** Where a conversion writes to, once it does. */
const ImportInput = FetchInput.extend({ catalogId: z.string(), writesTo: Uuid.optional() });
const HealInput = z.object({ storeId: Uuid, digest: Sha256, generation: z.int().positive().optional() });
const Wanted = z.object({ imageVersionId: Uuid });

/** Keeps with an operation which tree it moves, so that it ends on that one whatever becomes of the version meanwhile. */
export async function chooseTree(
  tx: Database,
  operationId: string,
  { id, storeId, digest, generation }: ChosenTree & { readonly id: string },
): Promise<void> {
  const archive = await findArchive(tx, id);
  const chosen = archive
    ? { storeId: archive.storeId, archive: archive.packKey, digest: standInOf(archive) }
    : { storeId, digest, generation };
  await changeInput(tx, operationId, { chosen });
}

/** From now on the operation writes a converted image to that store, and reads nothing more of the archive. */
export const chooseTarget = (tx: Database, operationId: string, storeId: string): Promise<void> =>
  changeInput(tx, operationId, { writesTo: storeId });

/** An operation may wait for days before it goes on: a version that was revoked meanwhile is not brought any more. One that was deleted is, as it was asked for. */
async function mustStillBeFree(tx: Database, { verb }: Operation, input: Readonly<Record<string, unknown>>): Promise<void> {
  const wanted = verb === "pull" || verb === "provision" ? Wanted.safeParse(input) : null;
  const image = wanted?.success ? await findImageById(tx, wanted.data.imageVersionId) : null;
  if (image?.ok) unwrap(mayPull(image.value));
}

/** Null for operations that move no image. */
export async function grantScope(db: Database, { operation, input }: GrantSubject): Promise<GrantScope | null> {
  if (operation.verb === "push") return pushScope(db, operation, PushInput.parse(input));
  if (operation.verb === "pull" || operation.verb === "provision") return fetchScope(FetchInput.parse(input));
  if (operation.verb === "heal") return healScope(HealInput.parse(input));
  if (operation.verb === "import") return importScope(db, operation, ImportInput.parse(input));
  return null;
}

/** A push may compare itself with the versions of its catalog id, and with what the machines of its host were made from. */
async function pushScope(db: Database, operation: Operation, { storeId, catalogId }: z.infer<typeof PushInput>): Promise<GrantScope> {
  const made =
    operation.hostId === null
      ? sql`false`
      : sql`${imageVersions.digest} in (select digest from machines where host_id = ${operation.hostId})`;
  const kin = sql`(${imageVersions.project} = ${operation.project} and ${imageVersions.catalogId} = ${catalogId}) or ${made}`;
  const trees = await db
    .select({ digest: imageVersions.digest, generation: imageVersions.generation })
    .from(imageVersions)
    .where(and(eq(imageVersions.storeId, storeId), gt(imageVersions.generation, archivedGeneration), sql`(${kin})`));
  return { storeId, trees, packs: "write" };
}

/** Of a healing: the damaged tree, and the locations that the hub chose for it; before that there is nothing to write. */
function healScope({ storeId, digest, generation }: z.infer<typeof HealInput>): GrantScope | null {
  return generation === undefined ? null : { storeId, trees: [{ digest, generation }], packs: "write" };
}

/** The tree that was chosen when the image was authorised or the machine placed; before that there is nothing to read. */
function fetchScope({ chosen }: z.infer<typeof FetchInput>): GrantScope | null {
  if (!chosen) return null;
  if ("archive" in chosen) return { storeId: chosen.storeId, trees: [], packs: "read", archive: chosen.archive };
  const { storeId, digest, generation } = chosen;
  return { storeId, trees: [{ digest, generation }], packs: "read" };
}

/** A conversion reads its archive first; then it is a push. */
function importScope(db: Database, operation: Operation, { writesTo, ...input }: z.infer<typeof ImportInput>) {
  return writesTo === undefined ? fetchScope(input) : pushScope(db, operation, { storeId: writesTo, catalogId: input.catalogId });
}

const refused = (id: string, why: string) => new FaultError({ code: "grant_refused", message: `The operation ${id} ${why}.`, subject: id });
