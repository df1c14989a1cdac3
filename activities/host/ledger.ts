/**
 * What a host remembers of its own acts, on its disk: which epoch of a machine it made, and which unrepeatable acts it began.
 *
 * The one idea: the line is on disk before the act, so after a crash the next attempt knows that the act may have happened.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";

const Placed = z.object({
  machineId: z.string(),
  hubId: z.string(),
  epoch: z.int(),
  operationId: z.string(),
  /** A linked clone has another id until it is registered anew: this is how it is found meanwhile. */
  linked: z
    .object({
      name: z.string(),
      sourceId: z.string(),
      /** The source's snapshots before: one that came since was made for this clone. */
      snapshotsBefore: z.array(z.string()).default([]),
    })
    .optional(),
});
export type Placed = z.infer<typeof Placed>;
const Act = z.object({ state: z.enum(["begun", "ended"]), effect: z.unknown() });
export type Act = z.infer<typeof Act>;

export interface Ledger {
  place(placed: Placed): Promise<void>;
  placed(machineId: string): Promise<Placed | null>;
  forget(machineId: string): Promise<void>;
  /** What is known of an act that must not happen twice; null when it never began. */
  act(operationId: string): Promise<Act | null>;
  beginAct(operationId: string): Promise<void>;
  endAct(operationId: string, effect: unknown): Promise<void>;
  /** The act was refused before it began: it may be tried again. */
  forgetAct(operationId: string): Promise<void>;
  /** Forgets acts of operations that ended long ago. */
  sweep(): Promise<void>;
}

/** Longer than any operation waits for an operator. */
const keptMs = 90 * 86_400_000;

export function openLedger(folder: string): Ledger {
  const machine = (id: string) => join(folder, "machines", `${id}.json`);
  const act = (id: string) => join(folder, "acts", `${id}.json`);
  return {
    place: (placed) => writeDurably(machine(placed.machineId), placed),
    placed: (id) => read(machine(id), Placed),
    forget: (id) => rm(machine(id), { force: true }),
    act: (id) => read(act(id), Act),
    beginAct: (id) => writeDurably(act(id), { state: "begun", effect: null }),
    endAct: (id, effect) => writeDurably(act(id), { state: "ended", effect: effect ?? null }),
    forgetAct: (id) => rm(act(id), { force: true }),
    sweep: () => removeOlder(join(folder, "acts"), Date.now() - keptMs),
  };
}

async function read<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/** Removes the files of a folder that nobody wrote since. */
export async function removeOlder(folder: string, beforeMs: number): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const { mtimeMs } = await stat(path);
    if (mtimeMs < beforeMs) await rm(path, { force: true });
  }
}

/** Whole or not at all, and on disk when it returns: the folder is synced too, or the rename could be lost with the power. */
async function writeDurably(path: string, value: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = `${path}.new`;
  const file = await open(aside, "w", 0o600);
  try {
    await file.writeFile(JSON.stringify(value));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, path);
  const folder = await open(dirname(path), "r");
  await folder.sync().finally(() => folder.close());
}
