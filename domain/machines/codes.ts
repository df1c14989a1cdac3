/** Faults of machines, their guests, and of Parallels Desktop. */
import type { CodeFacts } from "../errors.ts";

export const machineCodes = {
  machine_not_found: { kind: "not_found", remedy: "`drover machine list` shows the machines." },
  machine_exists: { kind: "conflict", wireStatus: 400, remedy: "Choose another name; names are unique on this hub, in any case." },
  machine_busy: { kind: "conflict", remedy: "Wait for the operation that holds the machine, or cancel it." },
  machine_state: { kind: "precondition_failed", wireStatus: 400, remedy: "Bring the machine into the state that the message names." },
  machine_cloned: {
    kind: "conflict",
    wireStatus: 400,
    remedy: "Retire the linked clones that the message names first: their disks lie in this machine's bundle.",
  },
  machine_linked: {
    kind: "precondition_failed",
    wireStatus: 400,
    remedy: "Clone the machine that it stands on, or make another linked clone.",
  },
  machine_lost: { kind: "not_found", remedy: "The machine is not on its host any more: retire it, or provision another." },
  machine_foreign: { kind: "conflict", remedy: "Ask that hub for it, or remove `drover.json` from its bundle where that hub is no more." },
  no_capacity: {
    kind: "limited",
    wireStatus: 400,
    remedy: "Stop or retire machines, add a host, or ask for less; the message says what each host lacks.",
  },
  snapshot_not_found: { kind: "not_found", wireStatus: 400, remedy: "`drover machine snapshot list` shows the snapshots." },
  tools_unavailable: {
    kind: "unavailable",
    parks: true,
    retryable: false,
    remedy: "Open the machine's screen, see that the guest booted and Parallels Tools run, then retry the step.",
  },
  address_missing: {
    kind: "unavailable",
    parks: true,
    retryable: false,
    remedy: "See that the guest booted and its network is up, then retry the step.",
  },
  licence_expired: {
    kind: "unavailable",
    parks: true,
    retryable: false,
    remedy: "Renew the Parallels Desktop licence on that host, then retry the step.",
  },
  macos_limit: { kind: "limited", remedy: "Stop one of the host's two running macOS machines." },
  prlctl_unavailable: {
    kind: "unavailable",
    parks: true,
    remedy: "See that Parallels Desktop is installed and its service runs on that host, then retry the step.",
  },
  prlctl_busy: { kind: "unavailable", parks: true, remedy: "See what keeps Parallels Desktop busy on that host, then retry the step." },
  prlctl_failed: {
    kind: "unavailable",
    parks: true,
    remedy: "Read Parallels Desktop's message, mend it on the host, then retry the step.",
  },
  prlctl_timeout: { kind: "unavailable", parks: true, remedy: "See whether prlctl answers on that host, then retry the step." },
  prlctl_unreadable: {
    kind: "unavailable",
    parks: true,
    remedy: "Compare the version of Parallels Desktop on that host with those that Drover knows, then retry the step.",
  },
  argument_refused: { kind: "invalid", remedy: "Give a value that does not start with a dash and has no control characters." },
  outcome_unknown: {
    kind: "precondition_failed",
    remedy: "Look whether it took effect; it is not repeated by itself because that might do it twice.",
  },
} as const satisfies Record<string, CodeFacts>;
