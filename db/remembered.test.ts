import { expect, it } from "vitest";
import { openChanges, remembered } from "./remembered.ts";

/** Something whose answers are counted, under a clock of its own. */
function asked(endOf: (value: string) => number | null = () => Infinity) {
  const changes = openChanges();
  let [at, value, reads] = [0, "old", 0];
  const read = async () => {
    reads += 1;
    return value;
  };
  return {
    changes,
    ask: remembered(read, { changes, endOf, now: () => at }),
    reads: () => reads,
    pass: (ms: number) => void (at += ms),
    become: (now: string) => void (value = now),
  };
}

it("asks once in five seconds, which count from the question", async () => {
  const { ask, reads, pass, become } = asked();
  expect(await ask("a")).toBe("old");
  become("new");
  pass(4_999);
  expect(await ask("a")).toBe("old");
  pass(1);
  expect(await ask("a")).toBe("new");
  expect(reads()).toBe(2);
});

it("asks anew once a change was told, and does not remember what was read meanwhile", async () => {
  const { ask, changes, become } = asked();
  await ask("a");
  const meanwhile = ask("b");
  become("new");
  changes.tell();
  expect(await meanwhile).toBe("old");
  expect([await ask("a"), await ask("b")]).toEqual(["new", "new"]);
});

it("remembers nothing beyond its own end, and nothing that is not to be remembered", async () => {
  const brief = asked(() => 100);
  await brief.ask("a");
  brief.pass(100);
  await brief.ask("a");
  const never = asked(() => null);
  for (const key of ["a", "a"]) await never.ask(key);
  expect([brief.reads(), never.reads()]).toEqual([2, 2]);
});
