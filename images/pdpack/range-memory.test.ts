/** Memory of ranges is used again once its reader is past it, never before, and is not kept for a reader that says nothing. */
import { expect, it } from "vitest";
import { openRangeMemory } from "./range-memory.ts";

it("is filled anew only after a later range was reached", () => {
  const memory = openRangeMemory(8);
  const [one, two] = [memory.room(8), memory.room(8)];
  memory.given(one);
  memory.given(two);
  memory.reached(one.subarray(2, 4));
  expect(memory.room(8).buffer).not.toBe(one.buffer);
  memory.reached(two.subarray(0, 1));
  const third = memory.room(3);
  expect([third.buffer === one.buffer, third.byteLength]).toEqual([true, 3]);
  expect(memory.room(8).buffer).not.toBe(two.buffer);
});

it("passes over parts that are of no range, and forgets ranges that nobody speaks of", () => {
  const memory = openRangeMemory(8);
  const ranges = Array.from({ length: 9 }, () => memory.room(8));
  ranges.forEach(memory.given);
  memory.reached(new Uint8Array(5));
  memory.reached(ranges[1] ?? new Uint8Array());
  // Long forgotten: only its own reader could say what of it is done with.
  expect(ranges.map(({ buffer }) => buffer)).not.toContain(memory.room(8).buffer);
  memory.reached(ranges[8] ?? new Uint8Array());
  expect(ranges.slice(5, 8).map(({ buffer }) => buffer)).toContain(memory.room(8).buffer);
});
