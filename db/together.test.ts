import { expect, it } from "vitest";
import { eachTogether, together } from "./together.ts";

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
  return { read, reads, begun, change: (to: string) => void (value = to) };
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
  const first = ask("a");
  await store.begun(1);
  store.change("newer");
  const second = ask("a");
  await store.begun(2);
  store.change("newest");
  const third = Promise.all([ask("a"), ask("a")]);
  for (const { end } of store.reads) end();
  expect([await first, await second]).toEqual(["a old", "a newer"]);
  await store.begun(3);
  store.reads[2]?.end();
  expect(await third).toEqual(["a newest", "a newest"]);
  expect(store.reads).toHaveLength(3);
});

it("lets others be answered while one read hangs", async () => {
  const store = slowStore();
  const ask = together(store.read);
  void ask("hangs");
  await store.begun(1);
  const other = ask("a");
  await store.begun(2);
  store.reads[1]?.end();
  expect(await other).toBe("a old");
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

it("keeps keys apart where one takes long", async () => {
  let reads = 0;
  const ask = eachTogether((key: string) => {
    reads += 1;
    return key === "slow" ? new Promise<string>(() => {}) : Promise.resolve(`${key} ${reads}`);
  });
  void ask("slow");
  expect(await Promise.all([ask("a"), ask("a")])).toEqual(["a 2", "a 2"]);
  expect(await ask("a")).toBe("a 3");
});
