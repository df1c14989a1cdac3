/**
 * What hosts report, made into rows: inventories, steps, progress, output.
 *
 * The one idea: every line names its place (session and sequence, or fence and line number), and a line at or before the place already reached
 * changes nothing. So lines may come twice, late, or after a newer attempt.
 */
import { and, eq, inArray, isNull } from "drizzle-orm";
import { isSettled } from "../domain/operations/rules.ts";
import type { ReportLine } from "../domain/hosts/schema.ts";
import type { Database } from "./connect.ts";
import type { Holder } from "./grants.ts";
import { appendOutput, type OutputSeal } from "./outputs.ts";
import { operations } from "./schema.ts";
import { takeWords, type Reported } from "./step-words.ts";

type Attempted = Exclude<ReportLine, { kind: "inventory" }>;

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
    const theirs = lines.flatMap((line) => {
      const operation = known.get(line.operationId);
      return operation && !isSettled(operation.state) ? [{ operation, line }] : [];
    });
    // Older: of an attempt that was replaced. Newer: of none that the hub knows.
    const isNewest = ({ operation, line }: (typeof theirs)[number]) => line.fence === operation.fence;
    await takeWords(
      tx,
      theirs.filter(isNewest).flatMap(({ operation, line }) => (line.kind === "output" ? [] : [{ operation, line }])),
    );
    await takeOutput(
      tx,
      seal,
      theirs.flatMap(({ line }) => (line.kind === "output" ? [line] : [])),
    );
    return theirs.length;
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
