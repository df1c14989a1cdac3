/** Tries again are bounded in number, in time and over all calls together, and only what may pass is tried again. */
import { describe, expect, it } from "vitest";
import { objectMissing, storeDenied, storeUnavailable } from "./faults.ts";
import { retrier, retryAfterMs } from "./retry.ts";

const failing = (error: Error, times: number) => {
  const tried = { count: 0 };
  const act = async () => {
    tried.count++;
    if (tried.count <= times) throw error;
    return "done";
  };
  return { tried, act };
};
const away = () => storeUnavailable("k", "it is away");
const impatient = () => 0;

describe("trying again", () => {
  it("mends what passes, and tells what does not", async () => {
    expect(await retrier(impatient).run(failing(away(), 4).act)).toBe("done");
    await expect(retrier(impatient).run(failing(away(), 5).act)).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
  });

  it.each([objectMissing("k"), storeDenied("k"), new Error("a mistake of ours")])("never tries %s again", async (error) => {
    const { tried, act } = failing(error, 1);
    await expect(retrier(impatient).run(act)).rejects.toBe(error);
    expect(tried.count).toBe(1);
  });

  it("stops trying again at all when nothing succeeds, and begins anew with success", async () => {
    const retry = retrier(impatient);
    const counts: number[] = [];
    for (let n = 0; n < 20; n++) {
      const { tried, act } = failing(away(), Infinity);
      await retry.run(act).catch(() => undefined);
      counts.push(tried.count);
    }
    expect(counts[0]).toBe(5);
    expect(counts.at(-1)).toBe(1);
    expect(counts.reduce((sum, count) => sum + count - 1, 0)).toBe(50);
    for (let n = 0; n < 8; n++) await retry.run(async () => "done");
    expect(await retry.run(failing(away(), 2).act)).toBe("done");
  });

  it("waits as long as it is told to, and not at all when that is too long", async () => {
    const { act } = failing(storeUnavailable("k", "it is busy", undefined, 300), 1);
    const begun = performance.now();
    await retrier(impatient).run(act);
    expect(performance.now() - begun).toBeGreaterThan(290);
    const long = failing(storeUnavailable("k", "it is busy", undefined, 60_000), 1);
    await expect(retrier(impatient).run(long.act)).rejects.toMatchObject({ fault: { details: { retryAfterMs: 60_000 } } });
    expect(long.tried.count).toBe(1);
  });

  it("ends with the signal", async () => {
    const stop = new AbortController();
    const { act } = failing(storeUnavailable("k", "it is busy", undefined, 15_000), 1);
    const running = retrier(impatient).run(act, stop.signal);
    stop.abort();
    await expect(running).rejects.toThrow();
  });
});

it("reads what a store asks for, in seconds or as a date", () => {
  expect(retryAfterMs("3")).toBe(3000);
  expect(retryAfterMs("Thu, 01 Jan 2026 00:00:05 GMT", Date.UTC(2026, 0, 1))).toBe(5000);
  expect(retryAfterMs("soon")).toBeUndefined();
  expect(retryAfterMs(undefined)).toBeUndefined();
});
