/** Never more at once than allowed, and never a return while something still runs. */
import { expect, it } from "vitest";
import { forEachLimited } from "./limited.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

it("does all, at most so many at once", async () => {
  let [running, most, done] = [0, 0, 0];
  await forEachLimited(
    Array.from({ length: 50 }, (_, n) => n),
    3,
    async () => {
      most = Math.max(most, ++running);
      await turn();
      running--;
      done++;
    },
  );
  expect({ most, done }).toEqual({ most: 3, done: 50 });
});

it("begins nothing after a failure, and fails with the first one only when all has settled", async () => {
  const [begun, settled]: [number[], number[]] = [[], []];
  const work = forEachLimited([0, 1, 2, 3, 4, 5], 2, async (n) => {
    begun.push(n);
    await turn();
    if (n === 1) throw new Error("first");
    for (let more = 0; more < 5; more++) await turn();
    settled.push(n);
  });
  await expect(work).rejects.toThrow("first");
  expect(begun).not.toContain(4);
  expect(settled).toEqual(begun.filter((n) => n !== 1));
});

it("waits for what runs when the source of work fails", async () => {
  let settled = false;
  async function* source() {
    yield 1;
    throw new Error("no more");
  }
  const work = forEachLimited(source(), 2, async () => {
    for (let more = 0; more < 5; more++) await turn();
    settled = true;
  });
  await expect(work).rejects.toThrow("no more");
  expect(settled).toBe(true);
});
