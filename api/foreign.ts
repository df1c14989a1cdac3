/**
 * What errors of PostgreSQL and Temporal mean to a caller.
 *
 * The one idea: a service that is away is a 503 that may be tried again, a value that it cannot store is the caller's mistake; nothing else is guessed.
 */
import type { Fault } from "../domain/errors.ts";

/** Refused, reset or ended connections, a server that starts or stops, and gRPC's `UNAVAILABLE` and `DEADLINE_EXCEEDED`. */
const away = new Set<unknown>([
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
  14,
  4,
]);
/** Values that no column takes: text with a zero byte or bad encoding, numbers out of range, malformed uuids. */
const unstorable = new Set<unknown>(["22021", "22P05", "22003", "22P02"]);

export function foreignFault(error: unknown): Fault | null {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth += 1) {
    const code: unknown = "code" in cause ? cause.code : undefined;
    if (away.has(code)) return { code: "hub_unavailable", message: "A service that the hub needs does not answer." };
    if (unstorable.has(code)) return { code: "invalid_request", message: "The request holds a value that cannot be stored." };
  }
  return null;
}
