/**
 * The Temporal schedules of this hub: what is done again and again without anybody asking.
 *
 * The one idea: a schedule is made to be as the configuration says at each start of a hub worker; it starts a workflow that only asks for operations.
 */
import { createHash } from "node:crypto";
import { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy, type ScheduleOptions } from "@temporalio/client";
import { hubQueue } from "../domain/operations/rules.ts";
import type { TendedCare } from "../workflows/catalog/tend.ts";
import { answered, type Control } from "./start.ts";

/** How often each care is due; 0 is never. */
export type CareEvery = Readonly<Record<Care, number>>;
/** Prefetches have a schedule for each of their policies. */
type Care = Exclude<TendedCare, "prefetch">;

export const scheduleId = (care: Care): string => `drover-${care}`;

export async function keepSchedules(control: Control, every: CareEvery): Promise<void> {
  for (const care of ["collect", "scrub", "retain"] as const) await keepSchedule(control, care, every[care]);
}

async function keepSchedule({ temporal, hubId }: Control, care: Care, everyMs: number): Promise<void> {
  const handle = temporal.schedule.getHandle(scheduleId(care));
  if (everyMs === 0) {
    await answered(temporal, () => handle.delete()).catch((error: unknown) => {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    });
    return;
  }
  const options = optionsOf(care, everyMs, hubId);
  try {
    await answered(temporal, () => temporal.schedule.create(options));
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    // What an operator paused stays paused.
    await answered(temporal, () => handle.update(({ state }) => ({ ...options, state })));
  }
}

function optionsOf(care: Care, everyMs: number, hubId: string): ScheduleOptions {
  return {
    scheduleId: scheduleId(care),
    // Not all hubs of the world at midnight.
    spec: { intervals: [{ every: everyMs, offset: shareOf(`${hubId}/${care}`) * everyMs }] },
    action: { type: "startWorkflow", workflowType: "tend", args: [care], taskQueue: hubQueue, workflowId: `tend/${care}` },
    policies: {
      overlap: ScheduleOverlapPolicy.SKIP,
      // A hub that was away for long asks once when it is back, not for each time that it missed.
      catchupWindow: "1 minute",
    },
  };
}

/** A number from 0 to below 1 that follows from the text. */
const shareOf = (text: string): number => createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;
