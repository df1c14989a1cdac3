/** A line gives no more than its rate, to however many, in the order they came; who is cancelled does not wait. */
import { expect, it } from "vitest";
import { openLine } from "./line.ts";

const calm = new AbortController().signal;

it("holds its rate for all that take from it together", async () => {
  const line = openLine(1_000_000);
  const start = performance.now();
  const ended: number[] = [];
  const transfer = async (name: number) => {
    for (let n = 0; n < 4; n++) await line.take(25_000, calm);
    ended.push(name);
  };
  await Promise.all([transfer(1), transfer(2)]);
  // What was taken last has its turn when all before it has travelled. Timers may fire a millisecond early.
  expect(performance.now() - start).toBeGreaterThanOrEqual(170);
  expect(new Set(ended)).toEqual(new Set([1, 2]));
});

it("lets what comes after silence go at once, and saves nothing up", async () => {
  const line = openLine(1_000_000);
  const start = performance.now();
  await line.take(10_000_000, calm);
  expect(performance.now() - start).toBeLessThan(5_000);
});

it("ends the wait of whoever is cancelled", async () => {
  const line = openLine(10);
  const cancelled = new AbortController();
  await line.take(1_000_000, calm);
  const waiting = line.take(10, cancelled.signal);
  cancelled.abort(new Error("The transfer was cancelled."));
  await expect(waiting).rejects.toThrow("The transfer was cancelled.");
});
