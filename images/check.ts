/**
 * Looks whether a store holds every living tree whole: its structure by listings and heads, its content by reading packs.
 *
 * Whatever is wrong is a finding with the object's key and the trees that it hurts; looking goes on, so that one look tells all.
 */
import { join } from "node:path";
import { FaultError } from "../domain/errors.ts";
import type { Finding } from "../domain/catalog/care.ts";
import { identityKey, readIdentity } from "../stores/identity.ts";
import type { ObjectStore } from "../stores/object-store.ts";
import { judgedObjects, storedPacks } from "./collect.ts";
import { locationsKey, packKey, treeKey } from "./format.ts";
import { hasName, readPack, wrongRows } from "./pack-content.ts";
import { eachPlace, packRows, type PackRow, type RowsOfPack } from "./pack-rows.ts";
import { namedPacks, packSet, readPackTable, type NamedPacks } from "./pack-table.ts";
import { readImage, readTree, type ImageRef } from "./stored.ts";

type Readable = Pick<ObjectStore, "read" | "list" | "size">;

export interface Structure {
  readonly findings: Finding[];
  readonly trees: number;
  readonly packs: number;
  readonly packBytes: number;
  /** Objects that nothing living needs. */
  readonly orphans: number;
  readonly orphanBytes: number;
  /** Keys below our own that have no known form. */
  readonly unknown: number;
}

export interface StructureAsk {
  readonly store: Readable;
  readonly living: readonly ImageRef[];
  readonly owner: { readonly hubId: string; readonly storeId: string | null };
  readonly signal: AbortSignal;
}

export async function checkStructure({ store, living, owner, signal }: StructureAsk): Promise<Structure> {
  const findings: Finding[] = [...(await checkIdentity(store, owner, signal))];
  const broken = await brokenTrees(store, living, signal);
  findings.push(...broken.values());
  const readable = living.filter((ref) => !broken.has(nameOf(ref)));
  const named = await namedPacks(store, readable, { signal, onBroken: () => undefined });
  const present = await storedPacks(store, signal);
  findings.push(...(await absentFindings(store, readable, present, signal)));
  let [orphans, orphanBytes, unknown] = [0, 0, 0];
  for await (const { verdict, bytes } of judgedObjects(store, { refs: living, packs: named }, signal)) {
    if (verdict === "unknown") unknown++;
    if (verdict !== "dead") continue;
    orphans++;
    orphanBytes += bytes;
  }
  return { findings, trees: living.length, packs: present.packs, packBytes: present.bytes, orphans, orphanBytes, unknown };
}

const nameOf = ({ digest, generation }: ImageRef): string => `${digest}/${generation}`;

export async function checkIdentity(
  store: Pick<ObjectStore, "read" | "size">,
  { hubId, storeId }: StructureAsk["owner"],
  signal: AbortSignal,
): Promise<Finding[]> {
  const wrong = (problem: string): Finding[] => [{ key: identityKey, problem, content: false, digests: [] }];
  try {
    const found = await readIdentity(store, signal);
    if (!found) return wrong("It is missing.");
    if (found.hubId !== hubId) return wrong(`It names the hub ${found.hubId}, not this one.`);
    return storeId === null || found.storeId === storeId ? [] : wrong(`It names the store ${found.storeId}, and named ${storeId} before.`);
  } catch (error) {
    return wrong(problemOf(error, signal));
  }
}

/** What broke, as a sentence. What may pass (a store that is away) is thrown on. */
function problemOf(error: unknown, signal: AbortSignal): string {
  signal.throwIfAborted();
  if (error instanceof FaultError && ["content_corrupt", "store_object_missing", "format_unknown"].includes(error.fault.code))
    return error.fault.message;
  throw error;
}

async function brokenTrees(store: Readable, living: readonly ImageRef[], signal: AbortSignal): Promise<Map<string, Finding>> {
  const broken = new Map<string, Finding>();
  for (const ref of living) {
    signal.throwIfAborted();
    try {
      await readImage(store, ref, signal);
    } catch (error) {
      const problem = problemOf(error, signal);
      const key = (await isWholeTree(store, ref.digest, signal)) ? locationsKey(ref.digest, ref.generation) : treeKey(ref.digest);
      broken.set(nameOf(ref), { key, problem, content: false, digests: [ref.digest] });
    }
  }
  return broken;
}

async function isWholeTree(store: Pick<ObjectStore, "read">, digest: string, signal: AbortSignal): Promise<boolean> {
  try {
    await readTree(store, digest, signal);
    return true;
  } catch (error) {
    problemOf(error, signal);
    return false;
  }
}

async function absentFindings(
  store: Readable,
  refs: readonly ImageRef[],
  present: NamedPacks,
  signal: AbortSignal,
): Promise<Iterable<Finding>> {
  const found = new Map<string, { key: string; problem: string; content: boolean; digests: string[] }>();
  for (const ref of refs) {
    for (const { sha256, bytes } of await readPackTable(store, ref, signal)) {
      const size = present.sizeOf(sha256);
      if (size === bytes) continue;
      const problem = size === null ? "It is missing." : `The store has ${size} bytes of it, not ${bytes}.`;
      const finding = found.get(sha256) ?? { key: packKey(sha256), problem, content: false, digests: [] };
      finding.digests.push(ref.digest);
      found.set(sha256, finding);
    }
  }
  return found.values();
}

export interface ContentAsk {
  readonly store: Readable;
  readonly living: readonly ImageRef[];
  readonly folder: string;
  /** Which packs are read. */
  readonly wants: (sha256: string) => boolean;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal: AbortSignal;
}

export interface Content {
  readonly findings: Finding[];
  readonly packs: number;
  readonly readBytes: number;
  /** Whether this pack was there and was read. */
  readonly wasRead: (sha256: string) => boolean;
}

/** Reads packs, those that only dead trees named too, and compares each with its name and with what living trees expect in it. */
export async function checkContent(ask: ContentAsk): Promise<Content> {
  const { store, living, folder, wants, signal, onProgress } = ask;
  const present = await wantedPacks(store, wants, signal);
  const findings: Finding[] = [];
  const wrong: BadRows[] = [];
  const seen = packSet();
  let readBytes = 0;
  const look = async (pack: RowsOfPack) => {
    signal.throwIfAborted();
    seen.add(pack);
    if (present.sizeOf(pack.sha256) === null) return;
    const { problem, rows, named } = await lookAt(store, pack, signal);
    readBytes += pack.bytes;
    onProgress?.(readBytes, present.bytes);
    if (problem === null) return;
    if (rows.length > 0) wrong.push({ sha256: pack.sha256, problem, rows, named });
    else findings.push({ key: packKey(pack.sha256), problem, content: true, digests: [] });
  };
  // Trees that cannot be read are findings of the structure.
  const onBroken = (_: ImageRef, error: unknown) => void problemOf(error, signal);
  for await (const pack of packRows({ store, refs: living, folder: join(folder, "content"), wants, onBroken, signal })) await look(pack);
  for await (const pack of eachStored(store, wants, signal)) if (seen.sizeOf(pack.sha256) === null) await look({ ...pack, rows: [] });
  findings.push(...(await hurt(store, living, wrong, signal)));
  return { findings, packs: present.packs, readBytes, wasRead: (sha256) => present.sizeOf(sha256) !== null };
}

async function* eachStored(store: Readable, wants: (sha256: string) => boolean, signal: AbortSignal) {
  for await (const { key, bytes, verdict } of judgedObjects(store, { refs: [], packs: packSet() }, signal)) {
    const sha256 = key.slice(-64);
    if (verdict === "dead" && key === packKey(sha256) && wants(sha256)) yield { sha256, bytes };
  }
}

async function wantedPacks(store: Readable, wants: (sha256: string) => boolean, signal: AbortSignal): Promise<NamedPacks> {
  const found = packSet();
  for await (const pack of eachStored(store, wants, signal)) found.add(pack);
  return found;
}

interface Look {
  readonly problem: string | null;
  readonly rows: readonly PackRow[];
  /** Whether the pack has the SHA-256 that it is named by: then it is whole, and locations that expect something else are wrong. */
  readonly named: boolean;
}
interface BadRows extends Look {
  readonly sha256: string;
  readonly problem: string;
}

/** Read twice before it is called rotten: a bit may flip on the way too. */
async function lookAt(store: Readable, pack: RowsOfPack, signal: AbortSignal): Promise<Look> {
  const first = await lookOnce(store, pack, signal);
  return first.problem === null ? first : lookOnce(store, pack, signal);
}

async function lookOnce(store: Readable, { sha256, rows }: RowsOfPack, signal: AbortSignal): Promise<Look> {
  let body: Buffer;
  try {
    body = await readPack(store, { sha256 }, signal);
  } catch (error) {
    return { problem: problemOf(error, signal), rows, named: false };
  }
  const named = await hasName(body, sha256);
  const wrong = await wrongRows(body, rows);
  if (wrong.length === 0)
    return { problem: named ? null : "Its bytes do not have its SHA-256, where nothing living lies.", rows: wrong, named };
  const [first] = wrong;
  const where = `its bytes at ${first?.offset ?? 0} are not the chunk that should be there (${wrong.length} of ${rows.length} chunks)`;
  return { problem: named ? `The locations are wrong: ${where}.` : `Its bytes do not have its SHA-256: ${where}.`, rows: wrong, named };
}

/** Which trees need what is wrong: asked only when something is, by reading them once more. */
async function hurt(store: Readable, living: readonly ImageRef[], wrong: readonly BadRows[], signal: AbortSignal): Promise<Finding[]> {
  if (wrong.length === 0) return [];
  const places = new Map(
    wrong.map((bad) => [bad.sha256, new Set(bad.rows.map(({ offset, hash }) => `${offset}/${hash.toString("hex")}`))]),
  );
  const digests = new Map<string, Set<string>>();
  const lying = new Map<string, Finding>();
  for (const ref of living) {
    const image = await readImage(store, ref, signal).catch((error: unknown) => void problemOf(error, signal));
    if (!image) continue;
    eachPlace(image, ({ place, pack, hash }) => {
      if (places.get(pack.sha256)?.has(`${place.offset}/${hash.toString("hex")}`) !== true) return;
      const bad = wrong.find(({ sha256 }) => sha256 === pack.sha256);
      if (bad?.named)
        lying.set(nameOf(ref), {
          key: locationsKey(ref.digest, ref.generation),
          problem: bad.problem,
          content: true,
          digests: [ref.digest],
        });
      else digests.set(pack.sha256, (digests.get(pack.sha256) ?? new Set()).add(ref.digest));
    });
  }
  const rotten = wrong.filter(({ named }) => !named);
  return [
    ...rotten.map(({ sha256, problem }) => ({ key: packKey(sha256), problem, content: true, digests: [...(digests.get(sha256) ?? [])] })),
    ...lying.values(),
  ];
}
