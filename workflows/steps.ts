/**
 * Runs the steps of an operation, and decides what happens when one fails.
 *
 * The one idea: steps run one after the other, so a failed one has the workflow's whole attention: it is tried again, left out, or ends the operation.
 */
import { CancellationScope, isCancellation } from "@temporalio/workflow";
import { factsOf, type Fault } from "../domain/errors.ts";
import { faultRecord, type OnFault, type StepState } from "../domain/operations/rules.ts";
import { faultOf, refusal } from "./faults.ts";
import type { HostWatch, OnHost } from "./host-loss.ts";
import { decider } from "./parking.ts";
import { records, type OperationInput, type StepRecord } from "./records.ts";

export interface StepOptions {
  /** Which of the names an operator may leave out; what a wholly skipped step would have returned is null. */
  readonly skippable?: readonly string[];
  readonly on?: OnHost;
}

export interface StepRunner {
  step<T>(names: string | readonly string[], act: (skip: string[]) => Promise<T>, options?: StepOptions): Promise<T | null>;
  /** What was noted and not told yet; the settlement tells it. */
  untold(): StepRecord[];
}

export function stepRunner(input: OperationInput, lost: HostWatch): StepRunner {
  const tellings = openTellings(input.operationId);
  const failed = failureJudge(input, lost, tellings);
  let next = 0;

  async function step<T>(
    named: string | readonly string[],
    act: (skip: string[]) => Promise<T>,
    options: StepOptions = {},
  ): Promise<T | null> {
    const names = typeof named === "string" ? [named] : named;
    const at = next;
    next += names.length;
    const skipped: string[] = [];
    const remaining = () => names.filter((name) => !skipped.includes(name));
    const tell = (name: string, state: StepState, fault?: Fault) =>
      tellings.note({ name, position: at + names.indexOf(name), state }, fault);
    for (const name of names.slice(1)) tell(name, "pending");

    for (;;) {
      const [first = ""] = remaining();
      tell(first, "running");
      await tellings.flush();
      try {
        const value = await lost.unless(options.on?.hostId, () => act([...skipped]));
        for (const name of remaining()) tell(name, "done");
        return value;
      } catch (error) {
        const name = await failed(error, { tell, remaining: remaining(), options });
        if (name !== null) skipped.push(name);
        if (remaining().length === 0) return null;
      }
    }
  }

  return { step, untold: tellings.take };
}

/** Answers the name of the step to leave out, null to try again; throws when the operation is to end. */
type FailureJudge = (error: unknown, failed: Failed) => Promise<string | null>;

function failureJudge(input: OperationInput, lost: HostWatch, tellings: Tellings): FailureJudge {
  const decide = decider(input.parkLimitMs);
  return async function failed(error, { tell, remaining, options }) {
    const fault = isCancellation(error) ? null : faultOf(error);
    const name = failedStep(fault, remaining);
    if (!fault || !parks(fault, input.onFault, options.on)) {
      tell(name, fault ? "failed" : "cancelled", fault ?? undefined);
      throw error;
    }
    tell(name, "parked", fault);
    await tellings.flush();
    const mended = () => fault.code === "host_lost" && !lost.isLost(options.on?.hostId);
    const word = await decide({ name, skippable: options.skippable?.includes(name) === true, fault, mended }).catch(
      (cancelled: unknown) => {
        tell(name, "cancelled", fault);
        throw cancelled;
      },
    );
    if (word === "retry") return null;
    tell(name, word === "skip" ? "skipped" : "failed", fault);
    if (word === "skip") return name;
    throw refusal("operation_aborted", `The step ${name} was aborted: ${fault.message}`, fault);
  };
}

interface Failed {
  readonly tell: (name: string, state: StepState, fault?: Fault) => void;
  readonly remaining: readonly string[];
  readonly options: StepOptions;
}

const parks = (fault: Fault, onFault: OnFault, on: OnHost | undefined): boolean =>
  fault.code === "host_lost" ? on?.whenLost === "wait" : factsOf(fault.code).parks === true && onFault === "park";

const failedStep = (fault: Fault | null, remaining: readonly string[]): string => {
  const told = fault?.details?.["step"];
  return typeof told === "string" && remaining.includes(told) ? told : (remaining[0] ?? "");
};

type Tellings = ReturnType<typeof openTellings>;

/** Notes wait for the next one that matters, so each write tells several. */
function openTellings(operationId: string) {
  const noted: StepRecord[] = [];
  const take = () => noted.splice(0);
  return {
    note: (record: StepRecord, fault?: Fault) => void noted.push(fault ? { ...record, fault: faultRecord(fault) } : record),
    take,
    flush: () => CancellationScope.nonCancellable(() => records.recordSteps({ operationId, steps: take() })),
  };
}
