/**
 * The mark that a hub leaves in the bundles it makes: whose machine it is, and of which placement.
 *
 * The one idea: the mark lies in the bundle and goes where the bundle goes, so a restored disk or a lost ledger cannot hide whose it is. It knows the
 * file that it was written to, so a copy made by hand shows as a copy and is nobody's to remove but its maker's.
 */
import { open, readdir, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

export const markName = "drover.json";
const OneMark = z.object({
  version: z.literal(1),
  hubId: z.string(),
  machineId: z.string(),
  epoch: z.int().positive(),
  operationId: z.string(),
  /** Of the file when it was written, which a rename keeps and a copy does not. Marks of the first release have none. */
  inode: z.string().optional(),
  /** The machine was made by somebody else and adopted. */
  adopted: z.boolean().optional(),
});
/** `replaced`: the mark that an adoption found, which is put back where it comes to nothing. */
export const Mark = OneMark.extend({ replaced: OneMark.optional() });
export type Mark = z.infer<typeof Mark>;
export type FoundMark = Mark & { readonly copied: boolean };

/** A bundle that is being cloned carries its machine in its name, since its mark comes last; Parallels Desktop takes no such name for a machine. */
const makingSuffix = ".making";
export const makingName = ({ machineId, epoch }: Pick<Mark, "machineId" | "epoch">): string => `${machineId}.${epoch}${makingSuffix}`;

/** Null where there is no mark, or none that can be read: such a bundle is not ours to touch. */
export async function readMark(bundlePath: string): Promise<FoundMark | null> {
  try {
    await using file = await open(join(bundlePath, markName), "r");
    const mark = Mark.parse(JSON.parse(await file.readFile("utf8")));
    return { ...mark, copied: mark.inode !== undefined && mark.inode !== (await inodeOf(file)) };
  } catch {
    return null;
  }
}

export async function writeMark(bundlePath: string, mark: Omit<Mark, "version" | "inode">): Promise<void> {
  await using file = await open(join(bundlePath, markName), "w");
  await file.writeFile(`${JSON.stringify({ version: 1, ...mark, inode: await inodeOf(file) })}\n`);
}

/** A mark as it is found may replace, or be replaced by, another. */
export const plainMark = (mark: Mark): z.infer<typeof OneMark> => OneMark.parse(mark);

/** The mark that was replaced, to the letter: that of a copy shows as a copy again. */
export async function putMarkBack(bundlePath: string, replaced: NonNullable<Mark["replaced"]>): Promise<void> {
  await using file = await open(join(bundlePath, markName), "w");
  await file.writeFile(`${JSON.stringify(replaced)}\n`);
}

export const removeMark = (bundlePath: string): Promise<void> => rm(join(bundlePath, markName), { force: true });

/** As text: some file systems number beyond what a number holds. */
const inodeOf = async (file: Awaited<ReturnType<typeof open>>): Promise<string> => String((await file.stat({ bigint: true })).ino);

export interface MarkedBundle {
  readonly path: string;
  readonly mark: FoundMark;
}

/** The bundles below a folder that carry a mark, whoever's it is. */
export async function markedBundles(folder: string): Promise<MarkedBundle[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => /\.(pvm|macvm)$/.test(name)).toSorted();
  const found = await Promise.all(names.map(async (name) => ({ path: join(folder, name), mark: await readMark(join(folder, name)) })));
  return found.flatMap(({ path, mark }) => (mark ? [{ path, mark }] : []));
}

/**
 * Removes what is left of a machine below `folder`: half-made bundles, and those that were marked for it in this epoch or an older one. Copies are
 * somebody's, and so is what is registered; `registered` is asked only where there is something to remove.
 */
export async function removeMarked(
  folder: string,
  machineId: string,
  epoch: number,
  registered: () => Promise<readonly string[]>,
): Promise<void> {
  const isOf = (mark: Pick<Mark, "machineId" | "epoch"> | null) => mark?.machineId === machineId && mark.epoch <= epoch;
  for (const name of await readdir(folder).catch(() => []))
    if (isOf(makingOf(name))) await rm(join(folder, name), { recursive: true, force: true });
  const left = (await markedBundles(folder)).filter(({ mark }) => !mark.copied && isOf(mark));
  if (left.length === 0) return;
  const taken = new Set(await Promise.all((await registered()).map(realOf)));
  for (const { path } of left) if (!taken.has(await realOf(path))) await rm(path, { recursive: true, force: true });
}

/** The same folder may be known by several paths. */
export const realOf = (path: string): Promise<string> => realpath(path).catch(() => path);

function makingOf(name: string): Pick<Mark, "machineId" | "epoch"> | null {
  const [, machineId = "", epoch = ""] = /^([0-9a-f-]{36})\.(\d+)\.making$/.exec(name) ?? [];
  return machineId === "" ? null : { machineId, epoch: Number(epoch) };
}

/** Removes what an earlier process of this host did not finish: whoever still wants it begins anew. */
export async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => []))
    if (makingOf(name)) await rm(join(folder, name), { recursive: true, force: true });
}
