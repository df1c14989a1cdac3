/**
 * What errors of PostgreSQL and Temporal mean to a caller.
 *
 * The one idea: a service that is away is a 503 that may be tried again, a value that it cannot store is the caller's mistake; nothing else is guessed.
 */
import type { Fault } from "./errors.ts";

/** Of PostgreSQL: refused, reset or ended connections, a server that starts or stops. */
const databaseAway = new Set<unknown>([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ENOTFOUND",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECT_TIMEOUT",
  "57P01",
  "57P02",
  "57P03",
  "53300",
  "08006",
  "08001",
]);
/** Of Temporal: gRPC's `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`, and `CANCELLED`, as a connection that is closed under a call tells it. */
const temporalAway = new Set<unknown>([14, 4, 8, 1]);
/** Values that no column takes: text with a zero byte or bad encoding, numbers out of range, malformed uuids. */
const unstorable = new Set<unknown>(["22021", "22P05", "22003", "22P02"]);

/** Both restart within seconds; whoever asks again sooner only asks more often. */
const retryAfterSeconds = 2;
const away = (message: string): Fault => ({ code: "hub_unavailable", message, details: { retryAfterSeconds } });

export function foreignFault(error: unknown): Fault | null {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth += 1) {
    const code: unknown = "code" in cause ? cause.code : undefined;
    if (databaseAway.has(code)) return away("The hub's database does not answer.");
    if (temporalAway.has(code)) return away("The hub's Temporal server does not answer.");
    // A statement that the deadline of its request ended: nothing else bounds one.
    if (code === "57014") return { code: "deadline_exceeded", message: "The time that the request had is over." };
    if (unstorable.has(code)) return { code: "invalid_request", message: "The request holds a value that cannot be stored." };
  }
  return null;
}
