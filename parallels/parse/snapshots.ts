/** Snapshots as prlctl lists them: an object keyed by ids in braces, or no output where there are none. */
import { z } from "zod";
import type { Snapshot } from "../../domain/machines/schema.ts";
import { jsonIn, unreadable } from "./json.ts";

const bare = (id: string) => id.replace(/[{}]/g, "").toLowerCase();
const Listed = z.record(
  z.string(),
  z.looseObject({
    name: z.string().catch(""),
    date: z.string().catch(""),
    state: z.string().catch(""),
    current: z.boolean().catch(false),
    parent: z.string().catch(""),
  }),
);

export function parseSnapshots(output: string): Snapshot[] {
  const listed = Listed.safeParse(jsonIn(output, "prlctl snapshot-list") ?? {});
  if (!listed.success) throw unreadable("prlctl snapshot-list", output, listed.error);
  return Object.entries(listed.data).map(([id, { name, date, state, current, parent }]) => ({
    id: bare(id),
    name,
    date,
    state,
    current,
    parentId: bare(parent) || null,
  }));
}

/** `The snapshot with id {…} has been successfully created.` */
export function parseSnapshotId(output: string): string {
  const id = /\{([0-9a-f-]{36})\}/i.exec(output)?.[1];
  if (id === undefined) throw unreadable("prlctl snapshot", output);
  return id.toLowerCase();
}
