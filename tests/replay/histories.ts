/** The recorded histories, by release: `histories/<release>/<verb>.<how>.json`. */
import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { HistoryAndWorkflowId } from "@temporalio/client";

export const historiesFolder = fileURLToPath(new URL("histories", import.meta.url));

/** Names relative to the folder, sorted. */
export const historyNames = async (pattern = "*/*.json"): Promise<string[]> =>
  (await Array.fromAsync(glob(pattern, { cwd: historiesFolder }))).toSorted();

/** Each under its own name as the workflow's id, so that what a replay finds says where. */
export async function* readHistories(names: readonly string[]): AsyncGenerator<HistoryAndWorkflowId> {
  for (const name of names) yield { workflowId: name, history: JSON.parse(await readFile(join(historiesFolder, name), "utf8")) };
}
