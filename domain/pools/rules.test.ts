/** Guarantees of the rules of pools: what a machine is to its pool, and what a pool does next. Random lives of pools: `tests/pools/lives.test.ts`. */
import { describe, expect, it } from "vitest";
import type { FaultRecord } from "../operations/schema.ts";
import { factsOf as pool, start, waiting } from "../../tests/pools/facts.ts";
import { judge, pauseOf, planOf, type IdleState, type Making, type Pooled, type PoolFacts } from "./rules.ts";

const fault: FaultRecord = { code: "prlctl_failed", message: "It broke.", remedy: "Mend it." };

const failed = (secondsAgo: number): Making => ({ fault, endedAt: new Date(start - secondsAgo * 1000) });
const codes = (facts: PoolFacts) => planOf(facts).shortfalls.map(({ code }) => code);

describe("a machine of a pool", () => {
  const table: ReadonlyArray<readonly [string, Partial<Pooled>, IdleState, string]> = [
    ["that is asked for", { observed: "making", underWay: ["provision"] }, "running", "making"],
    ["that runs as it should", {}, "running", "idle"],
    ["that runs and is to be suspended", {}, "suspended", "making"],
    ["that is being suspended", { underWay: ["suspend"] }, "suspended", "making"],
    ["that is suspended as it should be", { observed: "suspended", desired: "suspended" }, "suspended", "idle"],
    ["that waits suspended where it should run", { observed: "suspended", desired: "suspended" }, "running", "spoiled"],
    ["that stopped while it waited", { observed: "stopped" }, "running", "spoiled"],
    ["that differs from what was made", { isDrifted: true }, "running", "spoiled"],
    ["that somebody used before it was leased", { isTouched: true }, "running", "spoiled"],
    ["of a host that is silent", { isHostSilent: true }, "running", "unreachable"],
    ["that is not on its host any more", { observed: "absent" }, "running", "spoiled"],
    ["that is leased", { isLeased: true, isTouched: true }, "running", "leased"],
    [
      "that is leased and was switched off by an operation",
      { isLeased: true, observed: "stopped", isSwitchedOff: true },
      "running",
      "leased",
    ],
    ["that is leased and went off by itself", { isLeased: true, observed: "stopped" }, "running", "spoiled"],
    ["that is leased and is being started again", { isLeased: true, observed: "stopped", underWay: ["start"] }, "running", "leased"],
    ["that is leased and gone", { isLeased: true, observed: "absent" }, "running", "spoiled"],
    ["that is leased, of a host that is silent", { isLeased: true, isHostSilent: true, observed: "unknown" }, "running", "leased"],
    ["whose lease is over", { isLeased: true, isDue: true }, "running", "ending"],
    ["whose retire is under way", { underWay: ["execute", "retire"] }, "running", "ending"],
  ];
  it.each(table)("%s is %s", (_, more, idleState, standing) => expect(judge(waiting(more), idleState).standing).toBe(standing));
});

describe("a pool", () => {
  it("makes what is missing, counting what is on its way, and no more than it may have", () => {
    expect(planOf(pool()).make).toBe(2);
    expect(planOf(pool({ machines: [waiting(), waiting({ observed: "making" })] })).make).toBe(0);
    const leased = [1, 2, 3].map(() => waiting({ isLeased: true }));
    expect(planOf(pool({ machines: leased }))).toMatchObject({ make: 1, counts: { leased: 3 } });
    const full = pool({ machines: [...leased, waiting({ isDue: true })] });
    expect(planOf(full).make).toBe(0);
    expect(codes(full)).toEqual(["maximum_reached"]);
  });

  it("tells what hosts lack for machines that wait for room", () => {
    const lacking = waiting({ observed: "making", underWay: ["provision"], lacking: "mac-1 has 0 of 2 vCPU free." });
    const { shortfalls } = planOf(pool({ machines: [lacking, waiting({ observed: "making" })] }));
    expect(shortfalls.map(({ code, message }) => [code, message])).toEqual([
      ["no_room", "1 waits for room: mac-1 has 0 of 2 vCPU free."],
      ["making", "1 is being made."],
    ]);
  });

  it("retires the oldest of those that are too many, outdated ones first", () => {
    const [young, old, outdated] = [
      waiting({ madeAt: new Date(start + 1) }),
      waiting(),
      waiting({ isCurrent: false, madeAt: new Date(start + 2) }),
    ];
    const ids = (minimumIdle: number) =>
      planOf(pool({ minimumIdle, machines: [young, old, outdated] })).retire.map(({ machineId }) => machineId);
    expect(ids(3)).toEqual([]);
    expect(ids(2)).toEqual([outdated.machineId]);
    expect(ids(1)).toEqual([outdated.machineId, old.machineId]);
  });

  it("keeps outdated machines until others wait in their place", () => {
    const outdated = [waiting({ isCurrent: false }), waiting({ isCurrent: false })];
    expect(planOf(pool({ machines: outdated }))).toMatchObject({ make: 2, retire: [] });
    const one = waiting();
    expect(planOf(pool({ machines: [...outdated, one, waiting({ observed: "making" })] })).retire).toHaveLength(1);
  });

  it("gives one outdated machine up at a time where no room is left for another, and none while the new image fails", () => {
    const full = { maximum: 2, machines: [waiting({ isCurrent: false }), waiting({ isCurrent: false })] };
    expect(planOf(pool(full))).toMatchObject({ make: 0, retire: [{ machineId: full.machines[0]?.machineId }] });
    const begun = { maximum: 2, machines: [waiting({ isCurrent: false, isDue: true }), waiting({ isCurrent: false })] };
    expect(planOf(pool(begun))).toMatchObject({ make: 0, retire: [] });
    const failing = { maximum: 2, machines: [waiting({ isCurrent: false })], makings: [failed(1)] };
    expect(planOf(pool(failing))).toMatchObject({ make: 0, retire: [] });
  });

  it("waits twice as long after each failure, tries with one machine, and tells why", () => {
    const makings = [failed(6), failed(20), failed(30)];
    expect(pauseOf(makings)).toMatchObject({ failures: 3, until: new Date(start - 6_000 + 20_000) });
    const backing = pool({ makings });
    expect(planOf(backing)).toMatchObject({ make: 0, again: new Date(start + 14_000) });
    expect(codes(backing)).toEqual(["backing_off"]);
    expect(planOf(pool({ makings: makings.map(({ endedAt }) => ({ fault, endedAt: new Date(endedAt.getTime() - 60_000) })) })).make).toBe(
      1,
    );
    expect(pauseOf([{ fault: null, endedAt: new Date(start) }, ...makings])).toBeNull();
    expect(pauseOf(Array.from({ length: 10 }, () => failed(0)))?.until).toEqual(new Date(start + 600_000));
  });

  it("asks for nothing while it is refused, and tells why", () => {
    const refused = pool({ refused: { fault, at: new Date(start - 1_000).toISOString() } });
    expect(planOf(refused)).toMatchObject({ make: 0, again: new Date(start + 14_000) });
    expect(codes(refused)).toEqual(["refused"]);
    expect(planOf({ ...refused, now: new Date(start + 60_000) }).make).toBe(2);
  });

  it("that ends retires what waits, and its leases only where that was said", () => {
    const machines = [waiting(), waiting({ observed: "making" }), waiting({ isLeased: true })];
    expect(planOf(pool({ isEnding: true, machines })).retire).toHaveLength(2);
    expect(planOf(pool({ isEnding: true, endsLeases: true, machines })).retire).toHaveLength(3);
    expect(planOf(pool({ isEnding: true })).make).toBe(0);
  });
});
