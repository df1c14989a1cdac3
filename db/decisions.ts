/**
 * What operators decided about steps: asked here, taken by the workflow, both in the audit.
 *
 * The one idea: a decision has an id, the one under which its workflow gets it, and its audit records derive theirs from it. So what is asked or taken
 * twice is written once, and a decision that nobody asked for here was sent to the workflow directly.
 */
import { createHash } from "node:crypto";
import type { Decision } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import { findAudit, recordAuditOnce } from "./audit.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";

export interface StepDecision {
  readonly id: string;
  readonly word: Decision;
  readonly step: string;
}
interface By {
  readonly actor: string;
  readonly requestId: string | null;
  readonly source?: string | undefined;
}

/** Whoever may send updates to the Temporal server; its history tells more. */
const directly: By = { actor: "temporal", requestId: null };

export const isDecided = async (db: Database, operationId: string, id: string): Promise<boolean> =>
  (await findAudit(db, recordId(operationId, id, "taken"))) !== null;

/** Who asks, before the workflow is told. */
export async function askDecision(db: Database, operation: Operation, decision: StepDecision, by: By): Promise<void> {
  await recordAuditOnce(db, recordId(operation.id, decision.id, "asked"), { ...recordOf(operation, decision), ...by, outcome: "accepted" });
}

/** The workflow has taken it, from whoever asked; tells it. */
export async function takeDecision(db: Database, operation: Operation, decision: StepDecision): Promise<void> {
  const by = (await findAudit(db, recordId(operation.id, decision.id, "asked"))) ?? directly;
  const { actor, requestId } = by;
  const record = { ...recordOf(operation, decision), actor, requestId, outcome: "done" } as const;
  if (!(await recordAuditOnce(db, recordId(operation.id, decision.id, "taken"), record))) return;
  const { id, project } = operation;
  const body = { step: decision.step, decision: decision.word, by: actor };
  await recordEvent(db, { type: "step", name: "step.decided", subjectId: id, operationId: id, project, body });
}

/** The workflow would not have it. */
export async function refuseDecision(db: Database, operation: Operation, decision: StepDecision, by: By): Promise<void> {
  await recordAuditOnce(db, recordId(operation.id, decision.id, "refused"), {
    ...recordOf(operation, decision),
    ...by,
    outcome: "refused",
  });
}

const recordOf = ({ id, verb, subject }: Operation, { word, step }: StepDecision) => ({
  action: `${verb}.${word}`,
  subject: `${subject}: ${step}`,
  operationId: id,
});

/** A UUID of version 8, whose bits are free. */
function recordId(operationId: string, id: string, what: "asked" | "taken" | "refused"): string {
  const hex = createHash("sha256")
    .update(JSON.stringify([operationId, id, what]))
    .digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
