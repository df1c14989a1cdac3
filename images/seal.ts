/**
 * A seal: what every entry of a verified folder looked like when it was verified.
 *
 * The change time of a file cannot be set back by a program, so while a seal holds, its content counts as verified without being read again.
 */
import { z } from "zod";
import { sameMark, scanFolder, type Mark } from "./scan.ts";

export const Sealed = z.object({
  path: z.string(),
  kind: z.enum(["file", "folder", "link"]),
  bytes: z.number(),
  mtimeNs: z.string(),
  ctimeNs: z.string(),
  inode: z.string(),
});
export const Seal = z.object({ version: z.literal(1), entries: z.array(Sealed) });
export type Seal = z.infer<typeof Seal>;

export async function sealFolder(path: string): Promise<Seal> {
  const { entries } = await scanFolder(path);
  return { version: 1, entries: entries.map(({ path: name, kind, mark }) => ({ path: name, kind, ...writtenMark(mark) })) };
}

/** Whether nothing was added, removed or touched since. */
export async function sealHolds(path: string, seal: Seal): Promise<boolean> {
  const { entries, refusals } = await scanFolder(path);
  const intact = await intactPaths(path, seal);
  return refusals.length === 0 && entries.length === seal.entries.length && intact.size === entries.length;
}

/** The entries that are as they were sealed. */
export async function intactPaths(path: string, seal: Seal): Promise<Set<string>> {
  const sealed = new Map(seal.entries.map((entry) => [entry.path, entry]));
  const { entries } = await scanFolder(path);
  const intact = entries.filter(({ path: name, kind, mark }) => {
    const was = sealed.get(name);
    return was?.kind === kind && sameMark(mark, readMark(was));
  });
  return new Set(intact.map((entry) => entry.path));
}

/** A seal that was stored, or `null` for anything that is none: then nothing counts as verified. */
export function parseSeal(text: string): Seal | null {
  try {
    return Seal.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

/** Times in nanoseconds need more digits than a number of JSON has. */
export const writtenMark = ({ bytes, mtimeNs, ctimeNs, inode }: Mark) => ({
  bytes,
  mtimeNs: `${mtimeNs}`,
  ctimeNs: `${ctimeNs}`,
  inode: `${inode}`,
});
export const readMark = ({ bytes, mtimeNs, ctimeNs, inode }: z.infer<typeof Sealed>): Mark => ({
  bytes,
  mtimeNs: number(mtimeNs),
  ctimeNs: number(ctimeNs),
  inode: number(inode),
});
const number = (text: string): bigint => (/^-?\d+$/.test(text) ? BigInt(text) : -1n);
