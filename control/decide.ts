/**
 * An operator's word on a step: `retry`, `skip` or `abort` of one that is parked, `retry` of one between two automatic attempts.
 *
 * The one idea: the workflow decides whether the word fits, once, by the word's id, which the request's key makes. So a request whose answer was lost is sent
 * again without harm, and a 202 means that the word stands in the workflow's history.
 */
import { createHash, randomUUID } from "node:crypto";
import { setTimeout as after } from "node:timers/promises";
import {
  isGrpcServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from "@temporalio/client";
import { ApplicationFailure } from "@temporalio/common";
import { findBatch } from "../db/batches.ts";
import { askDecision, isDecided, refuseDecision, takeDecision, type StepDecision } from "../db/decisions.ts";
import { isHostLost } from "../db/hosts.ts";
import { findOperation, readOperation } from "../db/operations.ts";
import { listSteps } from "../db/steps.ts";
import { isFault, ok, refuse, type Fault, type Result } from "../domain/errors.ts";
import { foreignFault } from "../domain/foreign.ts";
import { isSettled, type Decision } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { Meant } from "../workflows/parking.ts";
import { beginAttempt, waitingActivities, type WaitingActivity } from "./attempts.ts";
import { answered, type Asked, type Control } from "./start.ts";

/** The workflow records what it was told within milliseconds; the answer then shows it. */
const shownMs = 2_000;

export async function decideStep(control: Control, operationId: string, word: Decision, asked: Asked): Promise<Result<Operation>> {
  const { db } = control;
  const found = await readOperation(db, operationId);
  if (!found.ok) return found;
  const { operation } = found.value;
  if (operation.project !== asked.actor.project)
    return refuse({ code: "operation_not_found", message: `There is no operation ${operationId}.`, subject: operationId });
  const id = decisionId(word, asked);
  if (await isDecided(db, operationId, id)) return ok(operation);
  if (isSettled(operation.state))
    return refuse({ code: "operation_settled", message: `The operation has already ended as ${operation.state}.`, subject: operationId });

  const steps = await listSteps(db, operationId);
  const step = steps.find(({ state }) => state === "parked") ?? steps.find(({ state }) => state === "running");
  const deciding: Deciding = { control, operation, asked, decision: { id, word, step: step?.name ?? "" } };
  // What a batch makes parks nowhere: it falls out first.
  if ((await findBatch(db, operationId)) !== null) return notParked(operation, word);
  if (operation.state === "parked") return tellParked(deciding);
  if (operation.state === "running" && word === "retry") return tryNow(deciding);
  if (operation.state === "cancelling" && word === "abort") return giveUpHost(deciding);
  return notParked(operation, word);
}

interface Deciding {
  readonly control: Control;
  readonly operation: Operation;
  readonly asked: Asked;
  readonly decision: StepDecision;
}
const byOf = ({ actor, requestId, source }: Asked) => ({ actor: actor.username, requestId, source });

/** Without a key each request is one of its own: a client may send one request id with many. */
function decisionId(word: Decision, { actor, idempotency }: Asked): string {
  if (!idempotency) return randomUUID();
  return createHash("sha256")
    .update(JSON.stringify([actor.userId, word, idempotency.key]))
    .digest("hex");
}

async function tellParked({ control, operation, asked, decision }: Deciding): Promise<Result<Operation>> {
  const { db, temporal } = control;
  const { id, word, step } = decision;
  await askDecision(db, operation, decision, byOf(asked));
  const meant: Meant = { step };
  try {
    const handle = temporal.workflow.getHandle(operation.workflowId);
    await answered(temporal, () => handle.executeUpdate<void, [Meant]>(word, { updateId: id, args: [meant] }));
  } catch (error) {
    const fault = faultOf(error, operation, decision);
    if (fault === null) throw error;
    if (fault.code !== "hub_unavailable") await refuseDecision(db, operation, decision, byOf(asked));
    return refuse(fault);
  }
  const deadline = Date.now() + shownMs;
  while (Date.now() < deadline && !(await isDecided(db, operation.id, id))) await after(25);
  return findOperation(db, operation.id);
}

/** Null: nothing that was foreseen. */
function faultOf(error: unknown, { id, workflowId, state }: Operation, { word, step }: StepDecision): Fault | null {
  if (error instanceof WorkflowUpdateFailedError) {
    const { cause } = error;
    const [fault] = cause instanceof ApplicationFailure ? (cause.details ?? []) : [];
    return isFault(fault) ? { ...fault, subject: id } : null;
  }
  if (error instanceof WorkflowNotFoundError)
    return { code: "operation_settled", message: `The workflow ${workflowId} of the ${state} operation has ended.`, subject: id };
  if (!(error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) && foreignFault(error)?.code !== "hub_unavailable") return null;
  const message = `No hub worker took the ${word} of ${step} within 5 s. It may still be taken: sent again with the same Idempotency-Key it is done once.`;
  return { code: "hub_unavailable", message, subject: id, details: { retryAfterSeconds: 1 } };
}

/** Between two automatic attempts nothing of the workflow waits for a word: the server itself begins the next attempt. */
async function tryNow({ control, operation, asked, decision }: Deciding): Promise<Result<Operation>> {
  const { db, temporal } = control;
  const { workflowId, id } = operation;
  try {
    const waiting = await answered(temporal, () => waitingActivities(control, workflowId));
    if (waiting.length === 0) return notParked(operation, decision.word);
    await askDecision(db, operation, decision, byOf(asked));
    for (const activity of waiting) await answered(temporal, () => begun(control, workflowId, activity));
  } catch (error) {
    const fault = faultOf(error, operation, decision);
    if (fault === null) throw error;
    const message = "Temporal did not answer within 5 s; sending the request again does no harm.";
    return refuse(fault.code === "hub_unavailable" ? { ...fault, message } : fault);
  }
  await db.transaction((tx) => takeDecision(tx, operation, decision));
  return findOperation(db, id);
}

/** One that has begun, or ended, meanwhile needs no word any more. */
async function begun(control: Control, workflowId: string, activity: WaitingActivity): Promise<void> {
  await beginAttempt(control, workflowId, activity).catch((error: unknown) => {
    if (!isGrpcServiceError(error) || error.code !== notFound) throw error;
  });
}
const notFound = 5;

/** A cancelled operation waits for its lost host to undo what it did there; whoever knows that the host never returns need not. */
async function giveUpHost({ control, operation, asked, decision }: Deciding): Promise<Result<Operation>> {
  const { db, temporal } = control;
  if (!(await isHostLost(db, operation.hostId))) return notParked(operation, decision.word);
  await askDecision(db, operation, decision, byOf(asked));
  try {
    await answered(temporal, () => temporal.workflow.getHandle(operation.workflowId).signal("giveUp"));
  } catch (error) {
    const fault = faultOf(error, operation, decision);
    if (fault === null) throw error;
    return refuse(fault);
  }
  await db.transaction((tx) => takeDecision(tx, operation, decision));
  return findOperation(db, operation.id);
}

function notParked({ id, state }: Operation, word: Decision): Result<never> {
  const why = {
    pending: "has not begun",
    running: word === "retry" ? "works, and none of its steps waits for its next attempt" : "works",
    cancelling: "is being cancelled",
    parked: "goes on by now",
    done: "is done",
    failed: "has failed",
    cancelled: "was cancelled",
  }[state];
  return refuse({ code: "operation_not_parked", message: `There is nothing to ${word}: the operation ${why}.`, subject: id });
}
