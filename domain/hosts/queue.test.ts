/** Whose turn it is, and what is left: over random queues, with a seed that can be given again. */
import { describe, expect, it } from "vitest";
import { randomFrom, testSeed } from "../../tests/crash/random.ts";
import { anywhere } from "./demand.ts";
import { inTurn, leftBy, type Waiting } from "./queue.ts";
import type { Demand, Supply } from "./rules.ts";

const demand = (vcpus: number, more: Partial<Demand> = {}): Demand => ({
  architecture: "arm64",
  vcpus,
  memoryBytes: 1,
  diskBytes: 1,
  macos: false,
  ...anywhere,
  runs: true,
  ...more,
});
const waiting = (machineId: string, more: Partial<Waiting> = {}): Waiting => ({
  machineId,
  project: "p",
  priority: 0,
  sinceMs: 0,
  labels: {},
  demand: demand(1),
  ...more,
});
const host = (id: string, freeVcpus: number, more: Partial<Supply> = {}): Supply => ({
  id,
  name: id,
  state: "online",
  enabled: true,
  cordon: null,
  architecture: "arm64",
  labels: [],
  taints: [],
  carries: [],
  freeVcpus,
  freeMemoryBytes: 100,
  freeDiskBytes: 100,
  freeMacosSlots: 2,
  cached: [],
  ...more,
});
const idsOf = (list: readonly Waiting[]) => list.map(({ machineId }) => machineId);

describe("turns", () => {
  it("go by priority, then to the project that has least, then by age", () => {
    const queue = [
      waiting("old", { sinceMs: 1 }),
      waiting("older", { sinceMs: 0 }),
      waiting("poor", { project: "q", sinceMs: 9 }),
      waiting("urgent", { priority: 5, sinceMs: 9 }),
    ];
    expect(idsOf(inTurn(queue, new Map([["p", 3]])))).toEqual(["urgent", "poor", "older", "old"]);
  });

  it("alternate between projects that have as much, however many requests one of them has", () => {
    const many = Array.from({ length: 6 }, (_, n) => waiting(`p${n}`, { sinceMs: n }));
    const few = [waiting("q0", { project: "q", sinceMs: 7 }), waiting("q1", { project: "q", sinceMs: 8 })];
    expect(idsOf(inTurn([...many, ...few], new Map()))).toEqual(["p0", "q0", "p1", "q1", "p2", "p3", "p4", "p5"]);
  });

  it("are each request's once, in the same order whatever order they are asked in, and never a lower priority before a higher", () => {
    const seed = testSeed();
    const { next } = randomFrom(seed);
    const random = (below: number) => Math.floor(next() * below);
    for (let round = 0; round < 200; round++) {
      const queue = Array.from({ length: 1 + random(40) }, (_, n) =>
        waiting(`m${n}`, { project: `p${random(4)}`, priority: random(3), sinceMs: random(10) }),
      );
      const holds = new Map([0, 1, 2, 3].map((n) => [`p${n}`, random(5)]));
      const order = inTurn(queue, holds);
      const note = `DROVER_TEST_SEED=${seed}`;
      expect(idsOf(order).toSorted(), note).toEqual(idsOf(queue).toSorted());
      expect(idsOf(inTurn(queue.toReversed(), holds)), note).toEqual(idsOf(order));
      expect(
        order.map(({ priority }) => priority),
        note,
      ).toEqual(order.map(({ priority }) => priority).toSorted((a, b) => b - a));
    }
  });
});

describe("what is left", () => {
  it("is what those before do not need, and nothing of it is kept for one that fits nowhere", () => {
    const before = [waiting("huge", { demand: demand(100) }), waiting("fits", { demand: demand(6) })];
    const left = leftBy([host("a", 8), host("b", 4)], before);
    expect(left.map(({ id, freeVcpus }) => [id, freeVcpus])).toEqual([
      ["a", 2],
      ["b", 4],
    ]);
  });

  it("counts a machine that is not started by its disk alone", () => {
    const [left] = leftBy([host("a", 8)], [waiting("still", { demand: demand(6, { runs: false, macos: true }) })]);
    expect(left).toMatchObject({ freeVcpus: 8, freeMacosSlots: 2, freeDiskBytes: 99 });
  });
});
