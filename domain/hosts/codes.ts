/** Faults of hosts, their enrolment and the gateway. */
import type { CodeFacts } from "../errors.ts";

export const hostCodes = {
  host_not_found: { kind: "not_found", remedy: "`drover host list` shows the hosts." },
  host_unnamed: { kind: "invalid", remedy: "Name the host in the header X-Drover-Host, or set DROVER_DEFAULT_HOST." },
  host_exists: { kind: "conflict", remedy: "Enrol with --replace to take the place of the host that this hardware was before." },
  host_in_use: { kind: "conflict", remedy: "Retire the machines of that host first; `drover machine list` shows them." },
  host_lost: { kind: "unavailable", parks: true, retryable: false, remedy: "Bring the host back; the operation goes on by itself." },
  host_disabled: { kind: "precondition_failed", remedy: "`drover host enable` lets the host take work again." },
  host_cordoned: {
    kind: "precondition_failed",
    remedy:
      "`drover host show` tells why; `drover host uncordon` lets new machines come again, a drain is cancelled, a window ends by itself.",
  },
  host_draining: { kind: "conflict", remedy: "Cancel the drain (`drover operation cancel`), or wait until it has ended." },
  drain_overdue: {
    kind: "late",
    parks: true,
    remedy:
      "Stop or retire what still runs there, then retry the step, which waits for the same time again; skip leaves it where it is. `--machines stop` would not wait.",
  },
  service_refused: {
    kind: "forbidden",
    remedy: "Run the same command with `sudo`; `--print` shows what it would put where.",
  },
  host_unenrolled: {
    kind: "precondition_failed",
    remedy: "Enrol this computer first (`drover host enrol`), in the same folder or with the same DROVER_HOME.",
  },
  maintenance_window_exists: { kind: "conflict", remedy: "Remove it first (`drover maintenance remove`), or choose another name." },
  maintenance_window_not_found: { kind: "not_found", remedy: "`drover maintenance list` shows the windows." },
  host_duplicate_session: { kind: "conflict", remedy: "Stop the other host process that runs under this identity." },
  enrolment_refused: { kind: "unauthenticated", remedy: "Make a new token with `drover host token` and enrol within its lifetime." },
  clock_wrong: {
    kind: "unavailable",
    remedy: "Set the clock of this computer by NTP (on a Mac: `sudo sntp -sS time.apple.com`), then try again.",
  },
  grant_refused: { kind: "forbidden", remedy: "The operation does not run on this host any more, or never asked for this object." },
  fenced: { kind: "conflict", remedy: "A newer attempt of the step took over; this one must stop." },
  ssh_refused: {
    kind: "invalid",
    remedy: "Correct the credentials, or have the computer's host key written to the hub's known_hosts (DROVER_SSH_KNOWN_HOSTS).",
  },
  ssh_failed: {
    kind: "unavailable",
    wireStatus: 502,
    remedy: "See that the computer runs and that the hub reaches its SSH port, then try again.",
  },
} as const satisfies Record<string, CodeFacts>;
