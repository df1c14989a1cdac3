import { describe, expect, it } from "vitest";
import { judgeTry, triesWhileLocked, waitMs, type Guesses } from "./guessing.ts";

const guard = { attempts: 5, lockoutMs: 5000, incremental: true };
const fresh: Guesses = { count: 0, sinceLastMs: 0, tries: triesWhileLocked, sinceTryMs: 0 };

describe("the guard against guessing", () => {
  it("waits longer with each failure beyond the limit, less what has passed, and never longer than a minute", () => {
    expect(waitMs(guard, { count: 4, sinceLastMs: 0 })).toBe(0);
    expect(waitMs(guard, { count: 5, sinceLastMs: 1000 })).toBe(4000);
    expect(waitMs(guard, { count: 7, sinceLastMs: 0 })).toBe(15_000);
    expect(waitMs({ ...guard, incremental: false }, { count: 7, sinceLastMs: 0 })).toBe(5000);
    expect(waitMs(guard, { count: 500, sinceLastMs: 0 })).toBe(60_000);
  });

  it("lets a burst through no more than its tries, then one each second", () => {
    let state = fresh;
    const burst = (count: number, sinceTryMs = 0) =>
      Array.from({ length: count }, () => {
        const judged = judgeTry(guard, { ...state, sinceTryMs });
        state = { ...state, count: judged.count, tries: judged.tries };
        return judged.allowed;
      }).filter(Boolean).length;
    expect(burst(1000)).toBe(guard.attempts + triesWhileLocked);
    expect(burst(1, 900)).toBe(0);
    expect(burst(1, 200)).toBe(1);
    expect(burst(10)).toBe(0);
  });

  it("says to wait from the first failure beyond the limit on, and counts no refused try", () => {
    expect(judgeTry(guard, { ...fresh, count: 4 })).toMatchObject({ allowed: true, lockedMs: 0, count: 5 });
    expect(judgeTry(guard, { ...fresh, count: 5 })).toMatchObject({ allowed: true, lockedMs: 10_000, count: 6 });
    expect(judgeTry(guard, { ...fresh, count: 6, tries: 0 })).toMatchObject({ allowed: false, lockedMs: 10_000, count: 6 });
  });

  it("forgets after an hour", () => {
    expect(judgeTry(guard, { ...fresh, count: 500, sinceLastMs: 3_600_001 })).toMatchObject({ lockedMs: 0, count: 1 });
  });
});
