/**
 * The frame that every operation runs in: steps with names, undo, parking, cancellation, one settlement.
 *
 * The one idea: a workflow's own code reads like its runbook, because what happens when a step fails is decided once, in `steps.ts`: a code that parks
 * waits for `retry`, `skip` or `abort`; any other fails the operation; whatever ends it early undoes what was done, newest first, and settles.
 */
import { CancellationScope, isCancellation } from "@temporalio/workflow";
import type { Code, Fault } from "../domain/errors.ts";
import { faultRecord } from "../domain/operations/rules.ts";
import { faultOf, refusal } from "./faults.ts";
import { watchHosts } from "./host-loss.ts";
import { records, type OperationInput } from "./records.ts";
import { nameActivities, openShown } from "./shown.ts";
import { stepRunner, type StepOptions } from "./steps.ts";
import { takeBack, type Undo } from "./undo.ts";

export interface OperationFrame {
  /**
   * Runs one step, or several that one activity does and reports on by itself (its fault then names the one that failed in `details.step`).
   * `act` gets the names that an operator left out. Answers null when nothing is left to do.
   */
  step<T>(names: string | readonly string[], act: (skip: string[]) => Promise<T>, options?: StepOptions): Promise<T | null>;
  /** The same for a step that cannot be skipped. */
  must<T>(names: string | readonly string[], act: () => Promise<T>, options?: Omit<StepOptions, "skippable">): Promise<T>;
  /** Tells what was noted until now, and shows what the step that runs waits for. */
  waits(sentence: string): Promise<void>;
  /** Registers what takes back the next act. Call it before the act. */
  undo(label: string, act: () => Promise<unknown>, hostId?: string): void;
  /** A mark to which `standsNow` goes back: what was registered after it needs no undo any more, because someone else takes it back. */
  mark(): number;
  standsNow(mark: number): void;
  /**
   * The point of no return: what was done stands, and its record is made even when the operation is cancelled meanwhile. `unless`: a refusal by this code
   * recorded nothing, so all is taken back.
   */
  conclude<T>(name: string, act: () => Promise<T>, unless?: Code): Promise<T>;
}

async function concluded<T>(undo: Undo[], act: () => Promise<T>, unless: Code | undefined): Promise<T> {
  const before = undo.splice(0);
  try {
    return await CancellationScope.nonCancellable(act);
  } catch (error) {
    if (unless !== undefined && faultOf(error).code === unless) undo.push(...before);
    throw error;
  }
}

/** What came of it is the workflow's result too, so that the web UI shows it. */
export async function runOperation(
  input: OperationInput,
  body: (frame: OperationFrame) => Promise<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const { operationId } = input;
  const undo: Undo[] = [];
  const lost = watchHosts();
  const shown = openShown(input);
  const runner = stepRunner(input, lost, shown);
  const frame: OperationFrame = {
    step: runner.step,
    must: async (names, act, options) => {
      const value = await runner.step(names, act, options);
      if (value === null) throw refusal("internal", "A step that must run was skipped.");
      return value;
    },
    waits: async (sentence) => {
      await runner.tell();
      shown.says(sentence);
    },
    undo: (label, act, hostId) => void undo.push({ label, act, hostId }),
    mark: () => undo.length,
    standsNow: (mark) => void undo.splice(mark),
    conclude: (name, act, unless) => concluded(undo, () => frame.must(name, act, { brief: true }), unless),
  };
  try {
    const result = await body(frame);
    await CancellationScope.nonCancellable(() => records.settle({ operationId, steps: runner.untold(), outcome: "done", result }));
    shown.ended("done", result);
    return result;
  } catch (error) {
    const cancelled = isCancellation(error);
    const outcome = cancelled ? "cancelled" : "failed";
    const fault: Fault = cancelled ? { code: "operation_cancelled", message: "The operation was cancelled." } : faultOf(error);
    // It ended before this run of its workflow: what it did then is not this run's to take back.
    if (fault.code === "operation_settled") {
      shown.ended("ended before", fault);
      throw error;
    }
    await CancellationScope.nonCancellable(async () => {
      const begins = (label: string) => {
        nameActivities(`undo, ${label}`);
        shown.says(`${outcome}, what was done is taken back: ${label}`);
      };
      await takeBack(undo, { lost, waitMs: cancelled ? input.parkLimitMs : 0, begins });
      await records.settle({ operationId, steps: runner.untold(), outcome, fault: faultRecord(fault) });
    });
    shown.ended(outcome, fault);
    throw error;
  }
}
