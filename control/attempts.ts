/**
 * What an operation's activities do between two automatic attempts: why the last one failed, when the next one begins, and how it begins now.
 *
 * The one idea: only Temporal knows, and it is asked with a bound, because whoever looks at an operation must get an answer while Temporal is away.
 */
import type { Client } from "@temporalio/client";
import { ApplicationFailure } from "@temporalio/common";
import { decodeOptionalFailureToOptionalError } from "@temporalio/common/lib/internal-non-workflow/index.js";
import type { temporal } from "@temporalio/proto";
import { isFault, type Fault } from "../domain/errors.ts";
import { faultRecord } from "../domain/operations/rules.ts";
import type { NextAttempt, Operation } from "../domain/operations/schema.ts";
import type { Control } from "./start.ts";

type Pending = temporal.api.workflow.v1.IPendingActivityInfo;

/** Values of PendingActivityState in Temporal's API. */
const scheduled = 1;
const paused = 4;

/** An activity that failed and waits for its next attempt, or that somebody paused in the web UI. */
export interface WaitingActivity {
  readonly activityId: string;
  readonly runId: string;
  readonly attempt: number;
  readonly nextAttemptAt: Date | null;
  readonly fault: Fault | null;
}

/** The caller bounds the time. */
export async function waitingActivities({ temporal }: Pick<Control, "temporal">, workflowId: string): Promise<WaitingActivity[]> {
  const { raw, runId } = await temporal.workflow.getHandle(workflowId).describe();
  const waiting = (raw.pendingActivities ?? []).filter(isWaiting);
  return Promise.all(
    waiting.map(async (activity) => ({
      activityId: activity.activityId ?? "",
      runId,
      attempt: activity.attempt ?? 1,
      nextAttemptAt: timeOf(activity.nextAttemptScheduleTime),
      fault: await lastFault(temporal, activity),
    })),
  );
}

const isWaiting = ({ state, attempt, lastFailure }: Pending): boolean =>
  state === paused || (state === scheduled && ((attempt ?? 1) > 1 || (lastFailure ?? null) !== null));

/** Begins the next attempt at once; attempts count from 1 again. */
export async function beginAttempt(
  { temporal }: Pick<Control, "temporal">,
  workflowId: string,
  { activityId, runId }: WaitingActivity,
): Promise<void> {
  const { namespace, identity } = temporal.options;
  await temporal.workflowService.resetActivity({ namespace, execution: { workflowId, runId }, identity, id: activityId });
}

/** A look takes 2 ms. Whoever asks for an operation does not wait longer for this than for the rest. */
const lookMs = 250;
/** A watched operation is looked at with every change anywhere; a step's next attempt is seconds away. */
const freshMs = 1_000;
/** After a look that failed nobody waits again for so long. */
const restMs = 5_000;
/** More than anybody watches at once; bounds the memory. */
const remembered = 1_000;

export type NextAttempts = (operation: Operation, step: string | undefined) => Promise<NextAttempt | null>;

/** Tells what the running step of an operation waits for; null when it waits for nothing, or Temporal does not say so in time. */
export function nextAttempts(control: Pick<Control, "temporal">): NextAttempts {
  const looks = new Map<string, { at: number; found: Promise<NextAttempt | null> }>();
  let restsUntil = 0;

  async function look({ workflowId }: Operation, step: string): Promise<NextAttempt | null> {
    const found = await control.temporal.withDeadline(Date.now() + lookMs, () => waitingActivities(control, workflowId));
    const [first] = found.toSorted((a, b) => (a.nextAttemptAt?.getTime() ?? 0) - (b.nextAttemptAt?.getTime() ?? 0));
    if (!first) return null;
    const { attempt, nextAttemptAt, fault } = first;
    return { step, attempt, at: nextAttemptAt, fault: fault && faultRecord(fault) };
  }

  return async function nextAttempt(operation, step) {
    const now = performance.now();
    if (operation.state !== "running" || step === undefined || now < restsUntil) return null;
    const known = looks.get(operation.id);
    if (known && now - known.at < freshMs) return known.found;
    if (looks.size >= remembered) looks.clear();
    const found = look(operation, step).catch(() => {
      restsUntil = performance.now() + restMs;
      return null;
    });
    looks.set(operation.id, { at: now, found });
    return found;
  };
}

async function lastFault(temporal: Client, { lastFailure }: Pending): Promise<Fault | null> {
  const error = await decodeOptionalFailureToOptionalError(temporal.options.loadedDataConverter, lastFailure);
  if (!error) return null;
  const [fault] = error instanceof ApplicationFailure ? (error.details ?? []) : [];
  if (isFault(fault)) return fault;
  if (error.name === "TimeoutFailure") return { code: "step_timeout", message: "The step gave no sign of life in time." };
  return { code: "internal", message: "The step failed in an unforeseen way; the log has its cause." };
}

function timeOf(time: Pending["nextAttemptScheduleTime"]): Date | null {
  const ms = Number(time?.seconds ?? 0) * 1000 + (time?.nanos ?? 0) / 1e6;
  return ms > 0 ? new Date(ms) : null;
}
