/**
 * One Temporal schedule for each prefetch policy that has a time of its own.
 *
 * The one idea: rows say which schedules there are, and the difference is mended at each look: a policy that was added or removed while nobody looked, or before a
 * crash, is seen all the same. What an operator paused in the web UI stays paused.
 */
import { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy, type ScheduleOptions } from "@temporalio/client";
import { policiesOn } from "../db/prefetch.ts";
import type { PrefetchPolicy } from "../domain/catalog/caching.ts";
import { hubQueue } from "../domain/operations/rules.ts";
import { answered, type Control } from "./start.ts";

const prefix = "drover-prefetch-";
export const policyScheduleId = (policyId: string): string => `${prefix}${policyId}`;

/** Looks again and again; what is there is asked for once, since nobody else makes or removes such schedules while this hub leads. */
export function policyScheduler(control: Control): () => Promise<void> {
  let there: Set<string> | null = null;
  return async () => {
    there ??= await existing(control);
    const policies = (await policiesOn(control.db, "schedule")).map(({ policy }) => policy);
    for (const policy of policies) {
      if (there.has(policyScheduleId(policy.id))) continue;
      await make(control, policy);
      there.add(policyScheduleId(policy.id));
    }
    for (const id of [...there].filter((one) => !policies.some((policy) => policyScheduleId(policy.id) === one))) {
      await remove(control, id);
      there.delete(id);
    }
  };
}

async function existing({ temporal }: Control): Promise<Set<string>> {
  const found = await answered(temporal, () => Array.fromAsync(temporal.schedule.list()));
  return new Set(found.map(({ scheduleId }) => scheduleId).filter((id) => id.startsWith(prefix)));
}

async function make({ temporal }: Control, policy: PrefetchPolicy): Promise<void> {
  try {
    await answered(temporal, () => temporal.schedule.create(optionsOf(policy)));
  } catch (error) {
    // Lists lag: it was made a moment ago.
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}

async function remove({ temporal }: Control, id: string): Promise<void> {
  try {
    await answered(temporal, () => temporal.schedule.getHandle(id).delete());
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
  }
}

function optionsOf({ id, everySeconds, createdAt, lastStartedAt }: PrefetchPolicy): ScheduleOptions {
  const every = (everySeconds ?? 0) * 1000;
  return {
    scheduleId: policyScheduleId(id),
    spec: { intervals: [{ every, offset: createdAt.getTime() % every }] },
    action: { type: "startWorkflow", workflowType: "tend", args: ["prefetch", id], taskQueue: hubQueue, workflowId: `tend/prefetch/${id}` },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: "1 minute" },
    // Whoever adds a policy wants the image now too.
    state: { triggerImmediately: lastStartedAt === null },
  };
}
