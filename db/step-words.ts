/**
 * What a host says of the steps that it does: that one began or ended, how far it is, what it found damaged.
 *
 * The one idea: of one report each step is changed once, to what was said of it last, and only by words that are newer than those taken before. A word that
 * comes after its workflow has said how the step went on opens nothing that ended or is parked: its workflow does, before a host can try it again.
 */
import { sql } from "drizzle-orm";
import type { ReportLine } from "../domain/hosts/schema.ts";
import type { StepState } from "../domain/operations/rules.ts";
import type { FaultRecord, Progress } from "../domain/operations/schema.ts";
import type { Database } from "./connect.ts";
import { recordEvents, type NewEvent } from "./events.ts";
import type { operations } from "./schema.ts";
import { isEnded } from "./steps.ts";

export type Reported = Pick<typeof operations.$inferSelect, "id" | "project" | "state" | "fence" | "hostId">;
type Line = Exclude<ReportLine, { kind: "inventory" | "output" }>;
/** Of the operation's newest attempt. */
export interface Word {
  readonly operation: Reported;
  readonly line: Line;
}

/** All that one report says of one step. */
interface Change {
  readonly operation: Reported;
  readonly operationId: string;
  readonly step: string;
  readonly fence: number;
  line: number;
  state?: StepState;
  ended?: boolean;
  fault?: FaultRecord | undefined;
  progress?: Progress;
  readonly damaged: Extract<Line, { kind: "damaged" }>[];
}

export async function takeWords(tx: Database, words: readonly Word[]): Promise<void> {
  if (words.length === 0) return;
  const changes = changesOf(words);
  const said = [...changes.values()].map(({ operation: _operation, damaged: _damaged, ...change }) => change);
  const made = await tx.execute<Made>(sql`
    with change as (
      select * from jsonb_to_recordset(${JSON.stringify(said)}::jsonb)
        as c("operationId" uuid, step text, fence bigint, line bigint, state text, ended boolean, fault jsonb, progress jsonb)
    ), before as (
      select s.operation_id, s.name, s.state, c.state is not null and s.state in ('pending', 'running') as moves
      from steps s join change c on s.operation_id = c."operationId" and s.name = c.step and (s.fence, s.line) < (c.fence, c.line)
      for update of s
    )
    update steps s set
      fence = c.fence,
      line = c.line,
      state = case when b.moves then c.state else s.state end,
      fault = case when b.moves then c.fault else s.fault end,
      started_at = case when b.moves and c.state <> 'pending' then coalesce(s.started_at, now()) else s.started_at end,
      ended_at = case when not b.moves then s.ended_at when c.ended then now() end,
      progress = coalesce(c.progress, s.progress)
    from change c join before b on b.operation_id = c."operationId" and b.name = c.step
    where s.operation_id = b.operation_id and s.name = b.name
    returning s.operation_id as "operationId", s.name as step, b.state as before, s.state as after`);
  const taken = new Map(made.map((row) => [keyOf(row), row]));
  await recordEvents(
    tx,
    [...changes].flatMap(([key, change]) => eventsOf(change, taken.get(key))),
  );
}

interface Made {
  readonly [column: string]: unknown;
  readonly operationId: string;
  readonly step: string;
  readonly before: StepState;
  readonly after: StepState;
}
const keyOf = ({ operationId, step }: { operationId: string; step: string }): string => `${operationId}/${step}`;

/** In the order in which the steps were first spoken of. */
function changesOf(words: readonly Word[]): Map<string, Change> {
  const changes = new Map<string, Change>();
  for (const { operation, line } of words) {
    const { operationId, step, fence } = line;
    const key = keyOf(line);
    const change: Change = changes.get(key) ?? { operation, operationId, step, fence, line: 0, damaged: [] };
    changes.set(key, change);
    change.line = Math.max(change.line, line.line);
    if (line.kind === "step") Object.assign(change, { state: line.state, ended: isEnded(line.state), fault: line.fault });
    else if (line.kind === "progress") change.progress = line.progress;
    else change.damaged.push(line);
  }
  return changes;
}

function eventsOf({ operation, step, damaged }: Change, taken: Made | undefined): NewEvent[] {
  if (!taken) return [];
  const { id, project, hostId } = operation;
  const { before, after } = taken;
  const found = damaged.map(({ digest, message }) => {
    const body = { hostId, digest, message };
    return { type: "host", name: "host.cache_damaged", subjectId: hostId ?? id, operationId: id, project, body } as const;
  });
  const moved = { type: "step", name: `step.${after}`, subjectId: id, operationId: id, project, body: { step, state: after } } as const;
  return [...found, ...(before === after ? [] : [moved])];
}
