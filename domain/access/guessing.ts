/**
 * How long a guesser of passwords has to wait. Pure.
 *
 * The one idea: whoever failed too often waits ever longer, and meanwhile gets one try a second: a right password comes in, a list of words does not.
 */
export interface Guard {
  readonly attempts: number;
  readonly lockoutMs: number;
  readonly incremental: boolean;
}

/** What is known of somebody who guesses at one account from one address. */
export interface Guesses {
  readonly count: number;
  readonly sinceLastMs: number;
  /** Tries that are left to whoever is locked, as of the last one. */
  readonly tries: number;
  readonly sinceTryMs: number;
}

/** Nobody waits longer, however often somebody else guessed at their name. */
const longestWaitMs = 60_000;
/** While it is locked, a source may try so many passwords at once, and one more each second. */
export const triesWhileLocked = 3;
const tryEveryMs = 1_000;
/** Whoever mistyped that long ago begins anew. */
export const forgetGuessesMs = 3_600_000;

/** How much longer somebody who failed too often has to wait; zero when it may try. */
export function waitMs(guard: Guard, { count, sinceLastMs }: Pick<Guesses, "count" | "sinceLastMs">): number {
  if (count < guard.attempts) return 0;
  const factor = guard.incremental ? count - guard.attempts + 1 : 1;
  return Math.min(longestWaitMs, Math.max(0, guard.lockoutMs * factor - sinceLastMs));
}

/** `count` and `tries` are those after the try; `lockedMs` is what its answer tells when it was refused or wrong, zero for "wrong" alone. */
export interface Judged {
  readonly allowed: boolean;
  readonly lockedMs: number;
  readonly count: number;
  readonly tries: number;
}

export function judgeTry(guard: Guard, before: Guesses): Judged {
  const forgotten = before.sinceLastMs > forgetGuessesMs;
  const known = forgotten ? { ...before, count: 0 } : before;
  const tries = Math.min(triesWhileLocked, before.tries + before.sinceTryMs / tryEveryMs);
  const lockedMs = waitMs(guard, known);
  const count = known.count + 1;
  if (lockedMs === 0) return { allowed: true, lockedMs, count, tries };
  if (tries < 1) return { allowed: false, lockedMs, count: known.count, tries };
  return { allowed: true, lockedMs: waitMs(guard, { count, sinceLastMs: 0 }), count, tries: tries - 1 };
}
