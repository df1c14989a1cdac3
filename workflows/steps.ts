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
import { records, type Decided, type OperationInput, type StepRecord } from "./records.ts";
import { nameActivities, type Shown } from "./shown.ts";

export interface StepOptions {
  /** Which of the names an operator may leave out; what a wholly skipped step would have returned is null. */
  readonly skippable?: readonly string[];
  readonly on?: OnHost;
  /** A write of the hub, over in milliseconds: that it runs is told together with what comes of it. */
  readonly brief?: boolean;
}

export interface StepRunner {
  step<T>(names: string | readonly string[], act: (skip: string[]) => Promise<T>, options?: StepOptions): Promise<T | null>;
  /** Tells what was noted and not told yet. */
  tell(): Promise<void>;
  /** What was noted and not told yet; the settlement tells it. */
  untold(): StepRecord[];
}

export function stepRunner(input: OperationInput, lost: HostWatch, shown: Shown): StepRunner {
  const tellings = openTellings(input.operationId, shown);
  const failed = failureJudge(input, { lost, tellings, shown });
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
    const tell: Tell = (name, state, { fault, decided } = {}) =>
      tellings.note({ name, position: at + names.indexOf(name), state, ...(decided ? { decided } : {}) }, fault);
    for (const name of names.slice(1)) tell(name, "pending");
    tell(names[0] ?? "", "running");

    for (let again = false; ; again = true) {
      if (again || options.brief !== true) await tellings.flush();
      nameActivities(remaining().join(", "));
      try {
        const value = await lost.unless(options.on?.hostId, () => act([...skipped]));
        for (const name of remaining()) tell(name, "done");
        return value;
      } catch (error) {
        const left = remaining();
        const name = await failed(error, { tell, remaining: left, options });
        if (name === null) continue;
        skipped.push(name);
        if (remaining().length === 0) return null;
        // Those before it are done: the act looks at them again, and says itself what it does.
        const following = left[left.indexOf(name) + 1];
        if (following !== undefined) tell(following, "running");
      }
    }
  }

  return { step, tell: tellings.flushNoted, untold: tellings.take };
}

/** Answers the name of the step to leave out, null to try again; throws when the operation is to end. */
type FailureJudge = (error: unknown, failed: Failed) => Promise<string | null>;
interface Around {
  readonly lost: HostWatch;
  readonly tellings: Tellings;
  readonly shown: Shown;
}

function failureJudge(input: OperationInput, { lost, tellings, shown }: Around): FailureJudge {
  const decide = decider(input, shown);
  return async function failed(error, { tell, remaining, options }) {
    const fault = isCancellation(error) ? null : faultOf(error);
    const name = fault ? await failedStep(input.operationId, fault, remaining) : (remaining[0] ?? "");
    if (!fault || !parks(fault, input.onFault, options.on)) {
      tell(name, fault ? "failed" : "cancelled", fault ? { fault } : {});
      throw error;
    }
    tell(name, "parked", { fault });
    await tellings.flush();
    const mended = () => fault.code === "host_lost" && !lost.isLost(options.on?.hostId);
    const { word, id } = await decide({ name, skippable: options.skippable?.includes(name) === true, fault, mended }).catch(
      (cancelled: unknown) => {
        tell(name, "cancelled", { fault });
        throw cancelled;
      },
    );
    const decided = id === null ? {} : { decided: { id, word } };
    tell(name, stateAfter[word], word === "retry" ? decided : { fault, ...decided });
    if (word === "retry") return null;
    // An operator's word is kept before anything comes of it: an undo may take long.
    await tellings.flush();
    if (word === "skip") return name;
    const by = id === null ? `because nobody mended it within the park limit of ${hours(input.parkLimitMs)}` : "by an operator";
    throw refusal("operation_aborted", `The step ${name} was aborted ${by}: ${fault.message}`, fault);
  };
}

const stateAfter = { retry: "running", skip: "skipped", abort: "failed" } as const;
const hours = (ms: number): string => (ms < 3_600_000 ? `${ms / 1000} s` : `${Math.round(ms / 3_600_000)} h`);

type Tell = (name: string, state: StepState, more?: { fault?: Fault; decided?: Decided }) => void;
interface Failed {
  readonly tell: Tell;
  readonly remaining: readonly string[];
  readonly options: StepOptions;
}

const parks = (fault: Fault, onFault: OnFault, on: OnHost | undefined): boolean =>
  fault.code === "host_lost" ? on?.whenLost === "wait" : factsOf(fault.code).parks === true && onFault === "park";

/** A host that died or fell silent names none; how far it had got is what it told before. */
async function failedStep(operationId: string, fault: Fault, steps: readonly string[]): Promise<string> {
  const told = fault.details?.["step"];
  if (typeof told === "string" && steps.includes(told)) return told;
  const [only = ""] = steps;
  return steps.length < 2 ? only : CancellationScope.nonCancellable(() => records.firstUnfinished({ operationId, steps }));
}

type Tellings = ReturnType<typeof openTellings>;

/** Notes wait for the next one that matters, so each write tells several. */
function openTellings(operationId: string, shown: Shown) {
  const noted: StepRecord[] = [];
  const take = () => noted.splice(0);
  const flush = () => CancellationScope.nonCancellable(() => records.recordSteps({ operationId, steps: take() }));
  return {
    note: (record: StepRecord, fault?: Fault) => {
      noted.push(fault ? { ...record, fault: faultRecord(fault) } : record);
      shown.step(record, fault);
    },
    take,
    flush,
    flushNoted: async () => {
      if (noted.length > 0) await flush();
    },
  };
}
