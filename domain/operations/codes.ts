/** Faults of operations as such. */
import type { CodeFacts } from "../errors.ts";

export const operationCodes = {
  operation_not_found: { kind: "not_found", remedy: "`drover operation list` shows the operations you may see." },
  operation_settled: { kind: "conflict", remedy: "The operation has ended; start a new one." },
  operation_cancelled: { kind: "conflict", remedy: "Start the operation again if it is still wanted." },
  operation_aborted: {
    kind: "conflict",
    remedy: "The parked step was aborted, by an operator or at the park limit; start the operation again once its cause is mended.",
  },
  operation_terminated: { kind: "conflict", remedy: "The workflow was ended from outside; start the operation again." },
  step_failed_by_hand: {
    kind: "conflict",
    remedy: "Somebody failed its activity in the web UI or by the `temporal` command; start the operation again if it is still wanted.",
  },
  operation_not_parked: {
    kind: "precondition_failed",
    remedy: "A parked step takes retry, skip or abort, one between two attempts takes retry; `drover operation show` tells what it does.",
  },
  step_not_skippable: { kind: "precondition_failed", remedy: "This step cannot be left out: retry or abort it." },
  caller_gone: {
    kind: "unavailable",
    retryable: false,
    remedy: "Run `drover push` again and let it run to its end: what was sent already does not travel again.",
  },
  deadline_exceeded: {
    kind: "late",
    remedy: "Ask with more time, or without `Request-Timeout`; what was begun goes on, and `drover operation list` shows it.",
  },
  step_timeout: { kind: "unavailable", parks: true, remedy: "See why the host or the store was silent for so long, then retry the step." },
} as const satisfies Record<string, CodeFacts>;
