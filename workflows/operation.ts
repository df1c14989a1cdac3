/**
 * The frame that every operation runs in: steps with names, undo, parking, cancellation, one settlement.
 *
 * The one idea: a workflow's own code reads like its runbook, because what happens when a step fails is decided here once: a code that parks
 * waits for `retry`, `skip` or `abort`; any other fails the operation; whatever ends it early undoes what was done, newest first, and settles.
 */
import { defineSearchAttributeKey } from "@temporalio/common";
import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  condition,
  defineSignal,
  defineUpdate,
  isCancellation,
  log,
  proxyLocalActivities,
  setCurrentDetails,
  setHandler,
  TimeoutFailure,
  upsertSearchAttributes,
} from "@temporalio/workflow";
import { factsOf, isCode, type Fault } from "../domain/errors.ts";
import { faultRecord, type OnFault, type Outcome, type StepState } from "../domain/operations/rules.ts";
import type { FaultRecord } from "../domain/operations/schema.ts";

/** What every workflow is started with. Only grows: a hub of this release starts what one of the release before wrote. */
export interface OperationInput {
  readonly interfaceVersion: 1;
  readonly operationId: string;
  readonly onFault: OnFault;
  readonly parkLimitMs: number;
}

/** How the frame tells the database. Implemented in `activities/hub/operations.ts`; repeating a call changes nothing. */
export interface RecordActivities {
  recordSteps(input: { operationId: string; steps: StepRecord[] }): Promise<void>;
  /** Ends the operation in one transaction: steps, state, result or fault, holds released, sealed input dropped, events, audit. */
  settle(input: {
    operationId: string;
    steps: StepRecord[];
    outcome: Outcome;
    fault?: FaultRecord;
    result?: Record<string, unknown>;
  }): Promise<void>;
}
/** `running` counts the attempt up; `pending` only announces a step that a host will report on. A settled step is not reopened by `done` or `pending`. */
export interface StepRecord {
  readonly name: string;
  readonly position: number;
  readonly state: StepState;
  readonly fault?: FaultRecord;
}

/** What an operator may tell a parked step. Arguments travel in clear, so the stock `temporal` command can send them. */
export type Decision = "retry" | "skip" | "abort";
export const decisions = { retry: defineUpdate<string>("retry"), skip: defineUpdate<string>("skip"), abort: defineUpdate<string>("abort") };
/** Sent by the compare loop when the operation's host fell silent, and when it reported again. */
export const hostLostSignal = defineSignal<[string]>("hostLost");
export const hostBackSignal = defineSignal<[string]>("hostBack");

const parkedKey = defineSearchAttributeKey("DroverParked", "KEYWORD");

/** A write takes milliseconds; 30 s let PostgreSQL restart meanwhile, and without a limit on attempts nothing is lost when it takes longer. */
const records = proxyLocalActivities<RecordActivities>({
  startToCloseTimeout: "30 seconds",
  localRetryThreshold: "1 minute",
  retry: { initialInterval: "100 milliseconds", maximumInterval: "10 seconds" },
});

export interface StepOptions {
  /** Which of the names an operator may leave out; what a wholly skipped step would have returned is null. */
  readonly skippable?: readonly string[];
  readonly on?: OnHost;
}

/** The host whose loss a step must notice, and what it then does: park by itself until the host is back, or fail with `host_lost`. */
export interface OnHost {
  readonly hostId: string;
  readonly whenLost: "wait" | "fail";
}

export interface OperationFrame {
  /**
   * Runs one step, or several that one activity does and reports on by itself (its fault then names the one that failed in `details.step`).
   * `act` gets the names that an operator left out. Answers null when nothing is left to do.
   */
  step<T>(names: string | readonly string[], act: (skip: string[]) => Promise<T>, options?: StepOptions): Promise<T | null>;
  /** The same for a step that cannot be skipped. */
  must<T>(names: string | readonly string[], act: () => Promise<T>, options?: { on?: OnHost }): Promise<T>;
  /** Registers what takes back the next act. Call it before the act. Undo on a lost host is left to the compare loop, which removes what the host brings back. */
  undo(label: string, act: () => Promise<unknown>, hostId?: string): void;
  /** A mark to which `standsNow` goes back: what was registered after it needs no undo any more, because it stands or someone else takes it back. */
  mark(): number;
  standsNow(mark?: number): void;
}

/** What a lost host means to an operation that only it can do: those whose steps may park wait for it. */
export const lossOf = (hostId: string, onFault: OnFault): OnHost => ({ hostId, whenLost: onFault === "park" ? "wait" : "fail" });

interface Undo {
  readonly label: string;
  readonly act: () => Promise<unknown>;
  readonly hostId: string | undefined;
}

export async function runOperation(
  input: OperationInput,
  body: (frame: OperationFrame) => Promise<Record<string, unknown> | void>,
): Promise<void> {
  const { operationId } = input;
  const undo: Undo[] = [];
  const lost = watchHosts();
  const runner = stepRunner(input, lost);
  const frame: OperationFrame = {
    step: runner.step,
    must: async (names, act, options) => {
      const value = await runner.step(names, act, options);
      if (value === null) throw refusal("internal", "A step that must run was skipped.");
      return value;
    },
    undo: (label, act, hostId) => void undo.push({ label, act, hostId }),
    mark: () => undo.length,
    standsNow: (mark = 0) => void undo.splice(mark),
  };
  try {
    const result = await body(frame);
    await CancellationScope.nonCancellable(() =>
      records.settle({ operationId, steps: runner.untold(), outcome: "done", ...(result ? { result } : {}) }),
    );
  } catch (error) {
    await CancellationScope.nonCancellable(async () => {
      for (const { label, act, hostId } of undo.toReversed())
        await lost.unless(hostId, act).catch((cause: unknown) => log.error(`undo failed: ${label}`, { cause }));
      const cancelled = isCancellation(error);
      const fault: Fault = cancelled ? { code: "operation_cancelled", message: "The operation was cancelled." } : faultOf(error);
      await records.settle({ operationId, steps: runner.untold(), outcome: cancelled ? "cancelled" : "failed", fault: faultRecord(fault) });
    });
    throw error;
  }
}

/** Steps run one after the other, so one pending decision is enough. Records wait for the next one that matters: each write then tells several. */
function stepRunner(input: OperationInput, lost: ReturnType<typeof watchHosts>) {
  const { operationId } = input;
  const untold: StepRecord[] = [];
  const decide = decider(input);
  let next = 0;

  const note = (names: readonly string[], at: number, state: StepState, fault?: Fault) =>
    void untold.push(
      ...names.map((name, index) => ({ name, position: at + index, state, ...(fault ? { fault: faultRecord(fault) } : {}) })),
    );
  const flush = () => CancellationScope.nonCancellable(() => records.recordSteps({ operationId, steps: untold.splice(0) }));

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
    note(names.slice(1), at + 1, "pending");

    for (;;) {
      const [first = ""] = remaining();
      note([first], at + names.indexOf(first), "running");
      await flush();
      try {
        const value = await lost.unless(options.on?.hostId, () => act([...skipped]));
        for (const name of remaining()) note([name], at + names.indexOf(name), "done");
        return value;
      } catch (error) {
        const name = await failed(error, { names, at, remaining: remaining(), options });
        if (name !== null) skipped.push(name);
        if (remaining().length === 0) return null;
      }
    }
  }

  /** Answers the name of the step to leave out, null to try again; throws when the operation is to end. */
  async function failed(error: unknown, { names, at, remaining, options }: Failed): Promise<string | null> {
    const fault = isCancellation(error) ? null : faultOf(error);
    const name = failedStep(fault, remaining);
    const tell = (state: StepState) => note([name], at + names.indexOf(name), state, fault ?? undefined);
    if (!fault || !parks(fault, input.onFault, options.on)) {
      tell(fault ? "failed" : "cancelled");
      throw error;
    }
    tell("parked");
    await flush();
    const back = () => fault.code === "host_lost" && !lost.isLost(options.on?.hostId);
    const word = await decide(name, options.skippable?.includes(name) === true, fault, back).catch((cancelled: unknown) => {
      tell("cancelled");
      throw cancelled;
    });
    if (word === "retry") return null;
    tell(word === "skip" ? "skipped" : "failed");
    if (word === "skip") return name;
    throw refusal("operation_aborted", `The step ${name} was aborted: ${fault.message}`, fault);
  }
  return { step, untold: () => untold.splice(0) };
}

interface Failed {
  readonly names: readonly string[];
  readonly at: number;
  readonly remaining: readonly string[];
  readonly options: StepOptions;
}

const parks = (fault: Fault, onFault: OnFault, on: OnHost | undefined): boolean =>
  fault.code === "host_lost" ? on?.whenLost === "wait" : factsOf(fault.code).parks === true && onFault === "park";

const failedStep = (fault: Fault | null, remaining: readonly string[]): string => {
  const told = fault?.details?.["step"];
  return typeof told === "string" && remaining.includes(told) ? told : (remaining[0] ?? "");
};

/** Which hosts are lost, by the signals of the compare loop; cuts an act short when its host is. */
function watchHosts() {
  const lost = new Set<string>();
  setHandler(hostLostSignal, (hostId) => void lost.add(hostId));
  setHandler(hostBackSignal, (hostId) => void lost.delete(hostId));
  const isLost = (hostId: string | undefined) => hostId !== undefined && lost.has(hostId);

  async function unless<T>(hostId: string | undefined, act: () => Promise<T>): Promise<T> {
    if (hostId === undefined) return act();
    const scope = new CancellationScope();
    const work = scope.run(act);
    const watch = new CancellationScope();
    const watching = watch
      .run(() => condition(() => lost.has(hostId)))
      .then(
        () => scope.cancel(),
        () => undefined,
      );
    try {
      return await work;
    } catch (error) {
      if (isCancellation(error) && isLost(hostId)) throw refusal("host_lost", `The host ${hostId} does not report any more.`);
      throw error;
    } finally {
      watch.cancel();
      await watching;
    }
  }
  return { isLost, unless };
}

/** Waits for an operator's word on a parked step, for the step to mend by itself, or for the park limit, which aborts. */
function decider(input: OperationInput) {
  let parked: { name: string; skippable: boolean } | null = null;
  let decision: Decision | null = null;

  for (const word of ["retry", "skip", "abort"] as const) {
    const handler = () => {
      decision = word;
      return `${word}: ${parked?.name ?? ""}`;
    };
    const validator = () => {
      if (!parked || decision) throw refusal("operation_not_parked", "No step of this operation is parked.");
      if (word === "skip" && !parked.skippable) throw refusal("step_not_skippable", `The step ${parked.name} cannot be skipped.`);
    };
    setHandler(decisions[word], handler, { validator });
  }

  return async function decide(name: string, skippable: boolean, fault: Fault, mended: () => boolean): Promise<Decision> {
    parked = { name, skippable };
    decision = null;
    upsertSearchAttributes([{ key: parkedKey, value: fault.code }]);
    const words = skippable ? "`retry`, `skip` or `abort`" : "`retry` or `abort`";
    setCurrentDetails(`**${name}** is parked: ${fault.message}\n\n${factsOf(fault.code).remedy}\n\nSend the update ${words}.`);
    try {
      await condition(() => decision !== null || mended(), input.parkLimitMs);
      return decision ?? (mended() ? "retry" : "abort");
    } finally {
      parked = null;
      upsertSearchAttributes([{ key: parkedKey, value: null }]);
      setCurrentDetails("");
    }
  };
}

/** What an activity's failure says in our words. Faults travel as the details of an ApplicationFailure whose type is their code. */
export function faultOf(error: unknown): Fault {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure) {
    const [fault] = cause.details ?? [];
    if (isFault(fault)) return fault;
    return { code: "internal", message: cause.message };
  }
  if (cause instanceof TimeoutFailure) return { code: "step_timeout", message: "The step gave no sign of life in time." };
  return { code: "internal", message: "The step failed in an unforeseen way; the log has its cause." };
}

const isFault = (value: unknown): value is Fault =>
  typeof value === "object" && value !== null && "code" in value && "message" in value && isCode(value.code);

export function refusal(code: Fault["code"], message: string, cause?: Fault): ApplicationFailure {
  const fault: Fault = { code, message, ...(cause ? { details: { cause } } : {}) };
  return ApplicationFailure.create({ type: code, message, nonRetryable: true, details: [fault] });
}
