/**
 * Parking: a step that an operator can mend waits for one.
 *
 * The one idea: the wait is part of the workflow, so it survives every restart, shows in the web UI with its remedy, and is ended by an update
 * that the stock `temporal` command can send.
 */
import { defineSearchAttributeKey } from "@temporalio/common";
import { condition, defineUpdate, setCurrentDetails, setHandler, upsertSearchAttributes } from "@temporalio/workflow";
import { factsOf, type Fault } from "../domain/errors.ts";
import { refusal } from "./faults.ts";

/** What an operator may tell a parked step. Nothing is asked for and nothing answered, so the stock `temporal` command, which has no key, can send them. */
export type Decision = "retry" | "skip" | "abort";
export const decisions = { retry: defineUpdate<void>("retry"), skip: defineUpdate<void>("skip"), abort: defineUpdate<void>("abort") };

const parkedKey = defineSearchAttributeKey("DroverParked", "KEYWORD");

export interface Parked {
  readonly name: string;
  readonly skippable: boolean;
  readonly fault: Fault;
  /** What mends the step without an operator. */
  readonly mended: () => boolean;
}

/** Waits for an operator's word on a parked step, for the step to mend by itself, or for the park limit, which aborts. */
export function decider(parkLimitMs: number): (step: Parked) => Promise<Decision> {
  let parked: Parked | null = null;
  let decision: Decision | null = null;

  for (const word of ["retry", "skip", "abort"] as const) {
    const handler = () => void (decision = word);
    const validator = () => {
      if (!parked || decision) throw refusal("operation_not_parked", "No step of this operation is parked.");
      if (word === "skip" && !parked.skippable) throw refusal("step_not_skippable", `The step ${parked.name} cannot be skipped.`);
    };
    setHandler(decisions[word], handler, { validator });
  }

  return async function decide(step) {
    const { name, skippable, fault, mended } = step;
    parked = step;
    decision = null;
    upsertSearchAttributes([{ key: parkedKey, value: fault.code }]);
    const words = skippable ? "`retry`, `skip` or `abort`" : "`retry` or `abort`";
    setCurrentDetails(`**${name}** is parked: ${fault.message}\n\n${factsOf(fault.code).remedy}\n\nSend the update ${words}.`);
    try {
      await condition(() => decision !== null || mended(), parkLimitMs);
      return decision ?? (mended() ? "retry" : "abort");
    } finally {
      parked = null;
      upsertSearchAttributes([{ key: parkedKey, value: null }]);
      setCurrentDetails("");
    }
  };
}
