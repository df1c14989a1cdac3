/**
 * Which requests are let in: all of them, until this process would no longer keep up.
 *
 * The one idea: the event loop serves everybody, so it is what must not be overrun. A turn of it begins a few requests and leaves the others to the
 * next turn, so that health is answered in between; where turns take too long, or too much is under way, whoever comes is asked to come again.
 */
import type { MiddlewareHandler } from "hono";
import { FaultError } from "../../domain/errors.ts";
import { onError, type ApiEnv } from "../http.ts";
import type { Metrics } from "../metrics.ts";
import { health } from "./rates.ts";

export interface AdmissionSettings {
  /** Requests that may be under way at once, apart from those that wait for something by their nature. */
  readonly mostOpen: number;
  /** How long a turn of the event loop may take before new requests are refused. */
  readonly mostDelayMs: number;
}

/** A request is begun within a tenth of a millisecond or so: health waits for few milliseconds of these. */
const begunPerTurn = 32;
/** Four looks at the shortest delay that counts as overload. */
const lookEveryMs = 25;
/** What was slow a moment ago counts less with each look: after a second of good turns nothing is left of it. */
const forgetting = 0.9;
/** A crowd that comes back after so long finds the loop as it is then, not as the crowd left it. */
const retryAfterSeconds = 2;
/** Requests that wait by their nature, and cost nothing meanwhile. */
const waits = /\/(wait|events|stream|subscribe)$|\/ws\//;

export function admission(settings: { readonly limits: AdmissionSettings }, metrics: Metrics): MiddlewareHandler<ApiEnv> {
  const delayMs = watchLoop();
  const turn = turns();
  let open = 0;
  return async (c, next) => {
    if (health.test(c.req.path)) return next();
    const { mostOpen, mostDelayMs } = settings.limits;
    const late = delayMs() > mostDelayMs;
    if (late || open >= mostOpen) {
      metrics.refused(late ? "delay" : "open");
      c.set("requestId", crypto.randomUUID());
      const message = late
        ? "This API process is overloaded."
        : `This API process has ${open} requests under way, which is as many as it takes.`;
      return onError(new FaultError({ code: "overloaded", message, details: { retryAfterSeconds } }), c);
    }
    const counts = !waits.test(c.req.path) && !(c.req.method !== "GET" && c.req.path.startsWith("/api/v1/"));
    if (counts) open += 1;
    try {
      const later = turn();
      if (later) await later;
      await next();
    } finally {
      if (counts) open -= 1;
    }
  };
}

/** How late the event loop is, at its worst of the last second. */
function watchLoop(): () => number {
  let worstMs = 0;
  let due = performance.now() + lookEveryMs;
  setInterval(() => {
    const now = performance.now();
    worstMs = Math.max(now - due, worstMs * forgetting);
    due = now + lookEveryMs;
  }, lookEveryMs).unref();
  return () => worstMs;
}

/** Settles at once while a turn of the event loop has begun few requests, later ones in their order. */
function turns(): () => Promise<void> | undefined {
  let begun = 0;
  const waiting: Array<() => void> = [];
  const next = () => {
    const due = waiting.splice(0, begunPerTurn);
    begun = due.length;
    if (begun > 0) setImmediate(next);
    for (const go of due) go();
  };
  return () => {
    if (begun === 0) setImmediate(next);
    begun += 1;
    return begun > begunPerTurn ? new Promise<void>((resolve) => waiting.push(resolve)) : undefined;
  };
}
