/**
 * How many requests a caller may send: a bucket of a minute's worth that fills as fast as it may be emptied.
 *
 * The one idea: whoever is known pays for itself, by its key or user; whoever is not pays for the address, or the /64, that it comes from. Counted by each API
 * process for itself: a limit against abuse needs no other process, and two of them allow twice as much.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import { setHeader } from "../headers.ts";
import type { ApiEnv } from "../http.ts";
import { networkOf } from "../source.ts";

const minuteMs = 60_000;
/** More callers than one process serves within minutes; bounds the memory. */
const rememberedCallers = 10_000;

export interface RateSettings {
  /** Requests per minute of one key or user; 0 for any number. */
  readonly callerPerMinute: number;
  /** Requests per minute without credentials that are good, from one address; 0 for any number. */
  readonly sourcePerMinute: number;
  /** Requests of one key or user that may be worked on at once. */
  readonly callerAtOnce: number;
}

export interface Rates {
  /** Counts a request of somebody known, and works on it where that is allowed. */
  readonly during: <T>(c: Context<ApiEnv>, actor: Actor, work: () => Promise<T>) => Promise<T>;
  /** Counts a request of somebody unknown. */
  readonly stranger: (c: Context<ApiEnv>) => void;
}

export function openRates({ callerPerMinute, sourcePerMinute, callerAtOnce }: RateSettings, now = () => performance.now()): Rates {
  const callers = openBuckets(callerPerMinute, now);
  const sources = openBuckets(sourcePerMinute, now);
  const atOnce = new Map<string, number>();
  return {
    stranger: (c) => charge(c, sources, networkOf(c.var.source), "from this address or network without good credentials"),
    during: async (c, { apiKeyId, userId, username }, work) => {
      const key = apiKeyId ?? userId;
      charge(c, callers, key, `of ${apiKeyId === null ? username : "this API key"}`);
      const open = atOnce.get(key) ?? 0;
      if (open >= callerAtOnce) throw limited(`${username} has ${open} requests under way, which is as many as are worked on at once.`, 1);
      atOnce.set(key, open + 1);
      try {
        return await work();
      } finally {
        const left = (atOnce.get(key) ?? 1) - 1;
        if (left === 0) atOnce.delete(key);
        else atOnce.set(key, left);
      }
    },
  };
}

/** Where everybody is a stranger, whatever headers they send. */
const logins = /^\/api\/(v1\/auth\/token|v2\/login)/;

/** The last one: of a service that reads an archive. */
const credentials = ["Authorization", "X-Api-Key", "X-JFrog-Art-Api"];

export const bringsNone = (c: Context): boolean => credentials.every((name) => c.req.header(name) === undefined);

/** Requests that bring no credentials; those that bring wrong ones are counted when that is known. */
export const strangersLimited =
  (hub: { readonly rates: Rates }): MiddlewareHandler<ApiEnv> =>
  (c, next) => {
    if ((bringsNone(c) || logins.test(c.req.path)) && !health.test(c.req.path)) hub.rates.stranger(c);
    return next();
  };

/** Balancers and supervisors ask these, and must never be refused. */
export const health = /^\/(healthz|readyz|metrics|api\/v1\/health\/\w+)$/;

function charge(c: Context, buckets: Buckets | null, key: string, whose: string): void {
  if (!buckets) return;
  const { left, resetSeconds, waitSeconds } = buckets.take(key);
  setHeader(c, "RateLimit-Limit", String(buckets.perMinute));
  setHeader(c, "RateLimit-Remaining", String(left));
  setHeader(c, "RateLimit-Reset", String(resetSeconds));
  if (waitSeconds > 0) throw limited(`There were more than ${buckets.perMinute} requests per minute ${whose}.`, waitSeconds);
}

const limited = (message: string, retryAfterSeconds: number) =>
  new FaultError({ code: "rate_limited", message, details: { retryAfterSeconds } });

interface Buckets {
  readonly perMinute: number;
  /** `waitSeconds` is 0 where the request may go on. */
  take(key: string): { left: number; resetSeconds: number; waitSeconds: number };
}

function openBuckets(perMinute: number, now: () => number): Buckets | null {
  if (perMinute === 0) return null;
  const perMs = perMinute / minuteMs;
  const known = new Map<string, { left: number; at: number }>();
  /** Who has been silent for a minute has a full bucket again, as somebody new has. */
  const forget = (at: number) => {
    for (const [key, bucket] of known) if (at - bucket.at > minuteMs) known.delete(key);
    if (known.size >= rememberedCallers) known.clear();
  };
  return {
    perMinute,
    take: (key) => {
      const at = now();
      const bucket = known.get(key) ?? { left: perMinute, at };
      const filled = Math.min(perMinute, bucket.left + (at - bucket.at) * perMs);
      const left = filled >= 1 ? filled - 1 : filled;
      if (known.size >= rememberedCallers && !known.has(key)) forget(at);
      known.set(key, { left, at });
      const seconds = (requests: number) => Math.ceil(requests / perMs / 1000);
      return { left: Math.floor(left), resetSeconds: seconds(perMinute - left), waitSeconds: filled >= 1 ? 0 : seconds(1 - filled) };
    },
  };
}
