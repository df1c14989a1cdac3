/** A push takes to many small packs where answers are long in coming, and to few large ones where the line is the limit. */
import { expect, it } from "vitest";
import { openPackWidth, sharedPackBytes } from "./pack-width.ts";

interface Store {
  readonly answerMs: number;
  /** Of one connection, and of all together. */
  readonly each: number;
  readonly all: number;
}

/** How many are on their way in the end, when packs always wait. */
function settled(width: ReturnType<typeof openPackWidth>, { answerMs, each, all }: Store, crowded = true): number {
  for (let pack = 0; pack < 80; pack++) {
    const bytes = sharedPackBytes(width.current());
    const ms = Math.max(answerMs + bytes / each, (bytes * width.current()) / all);
    width.came({ bytes, ms: ms * (pack % 5 === 0 ? 3 : 1), crowded });
  }
  return width.current();
}

const mebibyte = 1024 * 1024;
const far = { answerMs: 30, each: 0.09 * mebibyte, all: 0.36 * mebibyte };

it.each([
  { what: "a line of 3 Gbit/s that answers after 30 ms", store: far, packs: 8 },
  { what: "one of 1 Gbit/s", store: { ...far, all: 0.12 * mebibyte }, packs: 4 },
  { what: "one whose every connection is slow", store: { ...far, each: 0.02 * mebibyte, all: 0.06 * mebibyte }, packs: 4 },
  { what: "a store beside us", store: { answerMs: 1, each: 0.1 * mebibyte, all: 0.2 * mebibyte }, packs: 4 },
])("sends as many at once as suit $what", ({ store, packs }) => {
  expect(settled(openPackWidth(), store)).toBe(packs);
});

it("stays as it is while the processor is the limit, and when told how many", () => {
  expect(settled(openPackWidth(), far, false)).toBe(4);
  expect(settled(openPackWidth(2), far)).toBe(2);
});
