/**
 * The mark that a hub leaves in the bundles it makes: whose machine it is, and of which placement.
 *
 * The one idea: the mark lies in the bundle and goes where the bundle goes, so a copy, a restored disk or a lost ledger cannot hide whose it is.
 */
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

export const markName = "drover.json";
export const Mark = z.object({
  version: z.literal(1),
  hubId: z.string(),
  machineId: z.string(),
  epoch: z.int().positive(),
  operationId: z.string(),
});
export type Mark = z.infer<typeof Mark>;

/** A bundle that is being cloned carries its machine in its name, since its mark comes last; Parallels Desktop takes no such name for a machine. */
const makingSuffix = ".making";
export const makingName = ({ machineId, epoch }: Pick<Mark, "machineId" | "epoch">): string => `${machineId}.${epoch}${makingSuffix}`;

/** Null where there is no mark, or none that can be read: such a bundle is not ours to touch. */
export async function readMark(bundlePath: string): Promise<Mark | null> {
  try {
    return Mark.parse(JSON.parse(await readFile(join(bundlePath, markName), "utf8")));
  } catch {
    return null;
  }
}

export const writeMark = (bundlePath: string, mark: Omit<Mark, "version">): Promise<void> =>
  writeFile(join(bundlePath, markName), `${JSON.stringify({ version: 1, ...mark })}\n`);

/** Removes every bundle below `folder` that carries the machine's mark of this epoch or an older one, finished or not. */
export async function removeMarked(folder: string, machineId: string, epoch: number): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const mark = /\.(pvm|macvm)$/.test(name) ? await readMark(path) : makingOf(name);
    if (mark?.machineId === machineId && mark.epoch <= epoch) await rm(path, { recursive: true, force: true });
  }
}

function makingOf(name: string): Pick<Mark, "machineId" | "epoch"> | null {
  const [, machineId = "", epoch = ""] = /^([0-9a-f-]{36})\.(\d+)\.making$/.exec(name) ?? [];
  return machineId === "" ? null : { machineId, epoch: Number(epoch) };
}

/** Removes what an earlier process of this host did not finish: whoever still wants it begins anew. */
export async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => []))
    if (makingOf(name)) await rm(join(folder, name), { recursive: true, force: true });
}
