/**
 * What may happen to an operation, as pure facts. Kept apart from the schemas so that workflows can import it without zod.
 */
import { type Fault, factsOf, refuse, ok, type Result } from "../errors.ts";
import type { FaultRecord } from "./schema.ts";

/** What an operation does. All from `start` to `capture` act on one machine that is in the hub's rows; those after it care for images, stores and hosts. */
export const verbs = [
  "push",
  "pull",
  "prefetch",
  "cache",
  "provision",
  "retire",
  "adopt",
  "start",
  "stop",
  "restart",
  "suspend",
  "resume",
  "pause",
  "reset",
  "configure",
  "rename",
  "clone",
  "snapshot-create",
  "snapshot-list",
  "snapshot-revert",
  "snapshot-delete",
  "execute",
  "upload",
  "capture",
  "collect",
  "check",
  "scrub",
  "heal",
  "retain",
  "import",
  "export",
  "drain",
] as const;
export type Verb = (typeof verbs)[number];

export const operationStates = ["pending", "running", "parked", "cancelling", "done", "failed", "cancelled"] as const;
export type OperationState = (typeof operationStates)[number];
export const settledStates = ["done", "failed", "cancelled"] as const satisfies readonly OperationState[];
export type Outcome = (typeof settledStates)[number];

export const stepStates = ["pending", "running", "parked", "done", "skipped", "failed", "cancelled"] as const;
export type StepState = (typeof stepStates)[number];

export const onFaults = ["park", "fail"] as const;
export type OnFault = (typeof onFaults)[number];

/** What an operator may tell a parked step. */
export const decisions = ["retry", "skip", "abort"] as const;
export type Decision = (typeof decisions)[number];

export const isSettled = (state: OperationState): state is Outcome => (settledStates as readonly string[]).includes(state);

/** What a machine operation may not share the machine with: reading ones go side by side, changing ones go alone. */
export const holdModes = ["exclusive", "shared"] as const;
export type HoldMode = (typeof holdModes)[number];
const sharing: ReadonlySet<Verb> = new Set(["execute", "upload", "capture", "snapshot-list", "check", "scrub", "heal"]);
export const holdModeOf = (verb: Verb): HoldMode => (sharing.has(verb) ? "shared" : "exclusive");

/** Verbs whose effect cannot be repeated: they run at most once. */
const unrepeatable: ReadonlySet<Verb> = new Set(["execute", "restart", "reset"]);
export const isUnrepeatable = (verb: Verb): boolean => unrepeatable.has(verb);

/** Verbs that push another operation aside. `stop` does so only when it is forced. */
export const preempts = (verb: Verb, forced: boolean): boolean => verb === "retire" || (verb === "stop" && forced);

export const workflowId = (verb: Verb, subject: string, operationId: string): string => `${verb}/${subject}/${operationId}`;

/** Where an operation's parts run. A queue's name holds nothing secret. */
export const hubQueue = "hub";
export const hostQueue = (hostId: string): string => `host-${hostId}`;
export const callerQueue = (operationId: string): string => `caller-${operationId}`;

export function mayCancel(state: OperationState): Result<void> {
  if (!isSettled(state)) return ok(undefined);
  return refuse({ code: "operation_settled", message: `The operation has already ended as ${state}.` });
}

/** The fault as it is stored and shown: with its remedy, so that no reader needs the table. */
export function faultRecord(fault: Fault): FaultRecord {
  const { code, message, subject, details } = fault;
  return {
    code,
    message,
    remedy: factsOf(code).remedy,
    ...(subject === undefined ? {} : { subject }),
    ...(details === undefined ? {} : { details: { ...details } }),
  };
}
