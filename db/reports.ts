/**
 * What hosts report, made into rows: inventories, steps, progress, output.
 *
 * The one idea: every line names its place (session and sequence, or fence and line number), and a line at or before the place already reached
 * changes nothing. So lines may come twice, late, or after a newer attempt.
 */
import { and, eq, inArray, isNull, sql } from "drizzle-orm";
import { isSettled } from "../domain/operations/rules.ts";
import type { ReportLine } from "../domain/hosts/schema.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import type { Holder } from "./grants.ts";
import { appendOutput, type OutputSeal } from "./outputs.ts";
import { operations, steps } from "./schema.ts";

type Attempted = Exclude<ReportLine, { kind: "inventory" }>;
type Reported = Pick<typeof operations.$inferSelect, "id" | "project" | "state" | "fence" | "hostId">;

/** Takes the lines that are this holder's; answers how many that were. Lines of other operations, or of ended ones, are left out. */
export async function takeLines(
  db: Database,
  seal: Pick<OutputSeal, "close">,
  holder: Holder,
  lines: readonly Attempted[],
): Promise<number> {
  if (lines.length === 0) return 0;
  return db.transaction(async (tx) => {
    const known = await reportedOperations(tx, holder, [...new Set(lines.map(({ operationId }) => operationId))]);
    const newest = newestProgress(lines);
    const theirs = newest.flatMap((line) => {
      const operation = known.get(line.operationId);
      return operation && !isSettled(operation.state) ? [{ operation, line }] : [];
    });
    // Sent together, carried out in their order.
    await Promise.all(theirs.flatMap(({ operation, line }) => (line.kind === "output" ? [] : [takeLine(tx, operation, line)])));
    await takeOutput(
      tx,
      seal,
      theirs.flatMap(({ line }) => (line.kind === "output" ? [line] : [])),
    );
    return theirs.length + (lines.length - newest.length);
  });
}

async function reportedOperations(tx: Database, holder: Holder, ids: string[]): Promise<Map<string, Reported>> {
  const theirs =
    "hostId" in holder ? eq(operations.hostId, holder.hostId) : and(eq(operations.id, holder.operationId), isNull(operations.hostId));
  const { id, project, state, fence, hostId } = operations;
  const rows = await tx
    .select({ id, project, state, fence, hostId })
    .from(operations)
    .where(and(inArray(operations.id, ids), theirs))
    .orderBy(operations.id)
    // None of them ends while its lines are taken.
    .for("share");
  return new Map(rows.map((row) => [row.id, row]));
}

/** Of several words on one step's progress only the last one is worth a write. */
function newestProgress(lines: readonly Attempted[]): Attempted[] {
  const last = new Map<string, Attempted>();
  for (const line of lines) if (line.kind === "progress") last.set(`${line.operationId}/${line.step}/${line.fence}`, line);
  return lines.filter((line) => line.kind !== "progress" || last.get(`${line.operationId}/${line.step}/${line.fence}`) === line);
}

/** In one write per operation, since a script that talks fills whole reports. */
async function takeOutput(
  tx: Database,
  seal: Pick<OutputSeal, "close">,
  lines: readonly Extract<Attempted, { kind: "output" }>[],
): Promise<void> {
  for (const [operationId, said] of Map.groupBy(lines, (line) => line.operationId)) {
    // Whoever shows text to people does without this character.
    const rows = said.map(({ fence, line, stream, text }) => ({ operationId, fence, line, stream, text: text.replaceAll("\0", "") }));
    await appendOutput(tx, seal, operationId, rows);
  }
}

async function takeLine(tx: Database, operation: Reported, line: Exclude<Attempted, { kind: "output" }>): Promise<void> {
  // Older: of an attempt that was replaced. Newer: of none that the hub knows.
  if (line.fence !== operation.fence) return;
  const later = sql`(${steps.fence}, ${steps.line}) < (${line.fence}, ${line.line})`;
  const at = and(eq(steps.operationId, line.operationId), eq(steps.name, line.step), later);
  const place = { fence: line.fence, line: line.line };
  if (line.kind === "damaged") return takeDamage(tx, operation, line, { place, at });
  if (line.kind === "progress") {
    await tx
      .update(steps)
      .set({ ...place, progress: line.progress })
      .where(at);
    return;
  }
  await takeState(tx, operation, line, place, at);
}

/** Told once: its line is counted as every other. */
async function takeDamage(
  tx: Database,
  operation: Reported,
  { digest, message }: Extract<Attempted, { kind: "damaged" }>,
  { place, at }: { place: { fence: number; line: number }; at: ReturnType<typeof and> },
): Promise<void> {
  const counted = await tx.update(steps).set(place).where(at).returning({ name: steps.name });
  if (counted.length === 0) return;
  const { id, project, hostId } = operation;
  const body = { hostId, digest, message };
  await recordEvent(tx, { type: "host", name: "host.cache_damaged", subjectId: hostId ?? id, operationId: id, project, body });
}

/**
 * A host's word may come late, after its workflow has said how the step went on: it opens no step that ended or is parked. Its workflow does, before a host
 * can try it again.
 */
async function takeState(
  tx: Database,
  operation: Reported,
  line: Extract<Attempted, { kind: "step" }>,
  place: { fence: number; line: number },
  at: ReturnType<typeof and>,
): Promise<void> {
  const ended = ["done", "skipped", "failed", "cancelled"].includes(line.state);
  const open = and(at, inArray(steps.state, ["pending", "running"]));
  const before = tx.$with("before").as(tx.select({ name: steps.name, state: steps.state }).from(steps).where(open).for("update"));
  const [moved] = await tx
    .with(before)
    .update(steps)
    .set({
      ...place,
      state: line.state,
      fault: line.fault ?? null,
      startedAt: line.state === "pending" ? sql`${steps.startedAt}` : sql`coalesce(${steps.startedAt}, now())`,
      endedAt: ended ? sql`now()` : null,
    })
    .from(before)
    .where(and(eq(steps.operationId, line.operationId), eq(steps.name, before.name)))
    .returning({ before: sql<string>`${before.state}` });
  if (!moved || moved.before === line.state) return;
  const body = { step: line.step, state: line.state };
  await recordEvent(tx, {
    type: "step",
    name: `step.${line.state}`,
    subjectId: operation.id,
    operationId: operation.id,
    project: operation.project,
    body,
  });
}
