/**
 * Requests that say how long their client waits: `Request-Timeout`, in seconds.
 *
 * The one idea: a client with a deadline is one that leaves at a moment it said beforehand, and still hears an answer. So what ends when a client leaves ends
 * then too, a little early, to leave time for the answer; and whatever else a request does, it is answered by then.
 */
import type { Context, MiddlewareHandler, Next } from "hono";
import { within } from "../../db/deadline.ts";
import { FaultError } from "../../domain/errors.ts";
import { onError, tooLate, type ApiEnv } from "../http.ts";

const header = "Request-Timeout";
/** An operation takes hours at most; who waits for longer follows it. */
const longestSeconds = 86_400;
/** Telling what became of an operation takes milliseconds, on a loaded computer more; of a short time no more than a fifth is spent on it. */
const marginMs = 500;

export const deadlines: MiddlewareHandler<ApiEnv> = (c, next) => {
  const sent = c.req.header(header);
  return sent === undefined ? next() : inTime(c, next, sent);
};

async function inTime(c: Context<ApiEnv>, next: Next, sent: string): Promise<Response | void> {
  const ms = millisecondsIn(sent);
  if (ms === null) {
    const message = `${header} must be a number of seconds above 0, such as 30 or 0.5, and ${longestSeconds} at most.`;
    return onError(new FaultError({ code: "invalid_request", message }), c);
  }
  const over = new AbortController();
  const deadline = { at: performance.now() + ms, ended: false };
  const timers = [setTimeout(() => over.abort(), ms - Math.min(marginMs, ms / 5))];
  const late = new Promise<true>((resolve) => timers.push(setTimeout(() => resolve(true), ms)));
  c.set("deadline", over.signal);
  c.req.raw = new Request(c.req.raw, { signal: AbortSignal.any([c.req.raw.signal, over.signal]) });
  try {
    if (await Promise.race([within(deadline, next), late])) return onError(new FaultError(tooLate), c);
  } finally {
    deadline.ended = true;
    for (const timer of timers) clearTimeout(timer);
  }
}

function millisecondsIn(sent: string): number | null {
  const seconds = /^\d{1,5}(\.\d{1,3})?$/.test(sent) ? Number(sent) : 0;
  return seconds > 0 && seconds <= longestSeconds ? seconds * 1000 : null;
}
