/**
 * What a push has sent, on the host's own disk, so that it resumes after a kill at any moment.
 *
 * A pack's chunks are written down, and synced, before its bytes travel: so whatever the store holds is known here, and no finished pack travels twice.
 * One JSON line per fact, only ever appended; a line that a kill cut short is a fact that never was.
 */
import { open, readFile } from "node:fs/promises";
import { z } from "zod";
import { isAbsent, onDisk } from "./files.ts";
import { hashBytes } from "./format.ts";

/** Where a chunk lies in its pack. */
interface PackedPlace {
  readonly offset: number;
  readonly length: number;
}

export interface PackedChunk extends PackedPlace {
  readonly hash: Buffer;
}

export interface JournaledPack {
  readonly sha256: string;
  readonly bytes: number;
  /** A table for `eachPackedChunk`: as objects, the chunks of a large image would fill the memory. */
  readonly chunks: Buffer;
  /** Whether the store acknowledged it; if not, it may be there all the same. */
  readonly finished: boolean;
}

export interface PushJournal {
  /** What earlier attempts wrote down. */
  readonly packs: readonly JournaledPack[];
  begin(pack: { readonly sha256: string; readonly bytes: number; readonly chunks: readonly PackedChunk[] }): Promise<void>;
  finish(sha256: string): Promise<void>;
  close(): Promise<void>;
}

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const Line = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("begun"), version: z.literal(1), sha256: Sha256, bytes: z.number().int().positive(), chunks: z.base64() }),
  z.object({ kind: z.literal("finished"), version: z.literal(1), sha256: Sha256 }),
]);
type Line = z.infer<typeof Line>;

const chunkRowBytes = hashBytes + 8;

export async function openPushJournal(path: string): Promise<PushJournal> {
  const text = await readText(path);
  const file = await onDisk(path, () => open(path, "a"));
  const append = (line: Line, prefix = "") =>
    onDisk(path, async () => {
      await file.appendFile(`${prefix}${JSON.stringify(line)}\n`);
      // That a pack is finished the store knows too: where a power cut takes this line, it is asked.
      if (line.kind === "begun") await file.datasync();
    });
  // A last line cut short by a kill must not swallow the next one.
  let prefix = text === "" || text.endsWith("\n") ? "" : "\n";
  const say = (line: Line) => {
    const written = append(line, prefix);
    prefix = "";
    return written;
  };
  return {
    packs: readPacks(text),
    begin: ({ sha256, bytes, chunks }) => say({ kind: "begun", version: 1, sha256, bytes, chunks: encodeChunks(chunks) }),
    finish: (sha256) => say({ kind: "finished", version: 1, sha256 }),
    close: () => file.close(),
  };
}

async function readText(path: string): Promise<string> {
  return onDisk(path, () =>
    readFile(path, "utf8").catch((error: unknown) => {
      if (isAbsent(error)) return "";
      throw error;
    }),
  );
}

function readPacks(text: string): JournaledPack[] {
  const packs = new Map<string, JournaledPack>();
  for (const line of text.split("\n").map(readLine)) {
    if (line?.kind === "begun")
      packs.set(line.sha256, { sha256: line.sha256, bytes: line.bytes, chunks: Buffer.from(line.chunks, "base64"), finished: false });
    const begun = line?.kind === "finished" ? packs.get(line.sha256) : undefined;
    if (begun) packs.set(begun.sha256, { ...begun, finished: true });
  }
  return [...packs.values()];
}

function readLine(text: string): Line | null {
  try {
    return Line.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function encodeChunks(chunks: readonly PackedChunk[]): string {
  const table = Buffer.alloc(chunks.length * chunkRowBytes);
  chunks.forEach(({ hash, offset, length }, n) => {
    hash.copy(table, n * chunkRowBytes);
    table.writeUInt32LE(offset, n * chunkRowBytes + hashBytes);
    table.writeUInt32LE(length, n * chunkRowBytes + hashBytes + 4);
  });
  return table.toString("base64");
}

export function eachPackedChunk(table: Buffer, tell: (hash: Buffer, place: PackedPlace) => void): void {
  for (let at = 0; at + chunkRowBytes <= table.byteLength; at += chunkRowBytes) {
    const hash = table.subarray(at, at + hashBytes);
    tell(hash, { offset: table.readUInt32LE(at + hashBytes), length: table.readUInt32LE(at + hashBytes + 4) });
  }
}
