/**
 * What the last push of a bundle found on this host: its tree, and what would betray a change of each file.
 *
 * While a file's marks are the same, its chunks are known unread. The change time of a file cannot be set back by a program; a file that changed in the very
 * moment of the push is not recorded, since a change right after it could carry the same time.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { onDisk } from "./files.ts";
import { sameMark, type Mark, type ScannedEntry } from "./scan.ts";
import { readMark, Sealed, writtenMark } from "./seal.ts";
import { parseTree, treeFiles } from "./tree.ts";

export interface PushRecord {
  /** The chunks of a file that was not touched since, or `null`. */
  rowsOf(entry: ScannedEntry): Buffer | null;
}

/** Of a bundle that was never pushed from here. */
export const unknownBundle: PushRecord = { rowsOf: () => null };

const Head = z.object({ version: z.literal(1), digest: z.string(), entries: z.array(Sealed) });

/** Bundles that this host pushes again and again; a record is as large as a tree, 9 MiB for a disk of 64 GiB. */
const keptRecords = 32;
/** A kernel stamps changes with its own tick, at most 10 ms long. */
const tickNs = 100_000_000n;
/** File systems that keep whole seconds. */
const coarseTickNs = 2_000_000_000n;

/** A record, or one that was never written to its end; nothing else in their folder is ours to remove. */
const recordName = /^([0-9a-f]{64}|\.[0-9a-f-]{36})$/;

export const pushRecordPath = (folder: string, bundlePath: string): string =>
  join(folder, createHash("sha256").update(bundlePath).digest("hex"));

/** A record that is missing or damaged knows nothing. */
export async function readPushRecord(path: string): Promise<PushRecord> {
  const known = await parse(path).catch(() => new Map<string, { mark: Mark; rows: Buffer }>());
  return {
    rowsOf: (entry) => {
      const was = known.get(entry.path);
      return entry.kind === "file" && was && sameMark(was.mark, entry.mark) ? was.rows : null;
    },
  };
}

async function parse(path: string): Promise<Map<string, { mark: Mark; rows: Buffer }>> {
  const bytes = await readFile(path);
  const end = bytes.indexOf("\n");
  const { digest, entries } = Head.parse(JSON.parse(bytes.toString("utf8", 0, end)));
  const marks = new Map(entries.map((entry) => [entry.path, readMark(entry)]));
  const files = treeFiles(parseTree(bytes.subarray(end + 1), digest));
  return new Map(
    files.flatMap(({ path: name, rows }) => {
      const mark = marks.get(name);
      return mark ? [[name, { mark, rows }] as const] : [];
    }),
  );
}

export interface PushedBundle {
  readonly digest: string;
  readonly treeBytes: Buffer;
  /** As they were before the first byte was read, and still were after the last one. */
  readonly entries: readonly ScannedEntry[];
  readonly scannedAtMs: number;
}

export async function writePushRecord(path: string, { digest, treeBytes, entries, scannedAtMs }: PushedBundle): Promise<void> {
  const settled = entries.filter(({ kind, mark }) => kind === "file" && isSettled(mark, scannedAtMs));
  const head: z.infer<typeof Head> = {
    version: 1,
    digest,
    entries: settled.map(({ path: name, kind, mark }) => ({ path: name, kind, ...writtenMark(mark) })),
  };
  const folder = dirname(path);
  const aside = join(folder, `.${randomUUID()}`);
  await onDisk(path, async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(aside, Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), treeBytes]));
    await rename(aside, path);
  });
  await forgetOldest(folder);
}

function isSettled({ ctimeNs }: Mark, scannedAtMs: number): boolean {
  const tick = ctimeNs % 1_000_000_000n === 0n ? coarseTickNs : tickNs;
  return ctimeNs + tick < BigInt(Math.floor(scannedAtMs)) * 1_000_000n;
}

async function forgetOldest(folder: string): Promise<void> {
  const names = (await onDisk(folder, () => readdir(folder))).filter((name) => recordName.test(name));
  const found = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(folder, name)).catch(() => null))?.mtimeMs ?? 0 })),
  );
  for (const { name } of found.toSorted((a, b) => b.at - a.at).slice(keptRecords)) await rm(join(folder, name), { force: true });
}
