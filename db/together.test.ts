import { expect, it } from "vitest";
import { together } from "./together.ts";

/** A store whose value changes, and whose reads end when they are told to. */
function slowStore() {
  let value = "old";
  const reads: { keys: readonly string[]; end: () => void }[] = [];
  const read = async (keys: readonly string[]) => {
    const seen = new Map(keys.map((key) => [key, `${key} ${value}`]));
    await new Promise<void>((resolve) => reads.push({ keys, end: resolve }));
    return seen;
  };
  const begun = async (count: number) => {
    while (reads.length < count) await new Promise((resolve) => setImmediate(resolve));
  };
  return { read, reads, begun, change: () => void (value = "new") };
}

it("reads once for all that ask at one moment", async () => {
  const store = slowStore();
  const ask = together(store.read);
  const answers = Promise.all([ask("a"), ask("b"), ask("a")]);
  await store.begun(1);
  store.reads[0]?.end();
  expect(await answers).toEqual(["a old", "b old", "a old"]);
  expect(store.reads.map(({ keys }) => keys)).toEqual([["a", "b"]]);
});

it("never answers with what was read before the question came", async () => {
  const store = slowStore();
  const ask = together(store.read);
  const early = ask("a");
  await store.begun(1);
  store.change();
  const late = Promise.all([ask("a"), ask("a")]);
  store.reads[0]?.end();
  expect(await early).toBe("a old");
  await store.begun(2);
  store.reads[1]?.end();
  expect(await late).toEqual(["a new", "a new"]);
  expect(store.reads).toHaveLength(2);
});

it("goes on after a read that failed", async () => {
  let fails = true;
  const ask = together(async (keys) => {
    if (fails) throw new Error("away");
    return new Map(keys.map((key) => [key, 1]));
  });
  await expect(ask("a")).rejects.toThrow("away");
  fails = false;
  expect(await ask("a")).toBe(1);
});
