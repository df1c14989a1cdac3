/** Guarantees of pools in random lives: never more machines than the maximum, no lease ended that goes on, and what nothing disturbs any more is as it should be. */
import { describe, expect, it } from "vitest";
import { judge, planOf, type IdleState, type Pooled } from "../../domain/pools/rules.ts";
import { randomFrom, testSeed } from "../crash/random.ts";
import { factsOf, waiting } from "./facts.ts";

const seed = testSeed();

/** A small world that does what plans say, later and in any order, while people lease, give back, edit and break things. */
describe(`in random lives (DROVER_TEST_SEED=${seed})`, () => {
  it("there are never more than the maximum, no lease is ended that goes on, and what settles settles as it should", () => {
    for (let life = 0; life < 300; life++) liveThrough(seed + life);
  });
});

function liveThrough(own: number): void {
  const random = randomFrom(own).next;
  const idleState: IdleState = random() < 0.5 ? "running" : "suspended";
  const maximum = 1 + Math.floor(random() * 6);
  let minimumIdle = Math.floor(random() * (maximum + 1));
  let machines: Pooled[] = [];
  const change = (one: Pooled, more: Partial<Pooled>) => void (machines = machines.map((old) => (old === one ? { ...old, ...more } : old)));
  const facts = () => factsOf({ minimumIdle, maximum, idleState, machines });
  const settle = () => {
    const plan = planOf(facts());
    expect(machines.length + plan.make).toBeLessThanOrEqual(Math.max(maximum, machines.length));
    for (const { machineId } of plan.retire) {
      const one = machines.find((machine) => machine.machineId === machineId);
      if (!one) throw new Error("It retires what is not there.");
      expect(one.isLeased && one.observed === "running").toBe(false);
      change(one, { isDue: true });
    }
    for (const id of plan.suspend)
      for (const one of machines.filter(({ machineId }) => machineId === id)) change(one, { underWay: ["suspend"] });
    for (let count = plan.make; count > 0; count--) machines.push(waiting({ observed: "making", underWay: ["provision"] }));
    return plan;
  };
  const goOn = (one: Pooled) => {
    if (one.isDue) machines = machines.filter((other) => other !== one);
    else if (one.underWay.includes("provision")) change(one, { observed: "running", underWay: [] });
    else if (one.underWay.includes("suspend")) change(one, { observed: "suspended", desired: "suspended", underWay: [] });
  };
  const one = () => machines[Math.floor(random() * machines.length)];
  const acts: Array<() => void> = [
    settle,
    () => one() && goOn(one() ?? waiting()),
    () => {
      const idle = machines.find((machine) => judge(machine, idleState).standing === "idle");
      if (idle) change(idle, { isLeased: true, observed: "running", desired: "running" });
    },
    () =>
      machines
        .filter(({ isLeased }) => isLeased)
        .slice(0, 1)
        .forEach((leased) => change(leased, { isDue: true })),
    () => machines.slice(0, 1).forEach((broken) => change(broken, { observed: random() < 0.5 ? "stopped" : "absent", underWay: [] })),
    () => machines.forEach((old) => change(old, { isCurrent: false })),
    () => void (minimumIdle = Math.floor(random() * (maximum + 1))),
  ];
  for (let turn = 0; turn < 40; turn++) acts[Math.floor(random() * acts.length)]?.();
  for (let turn = 0; turn < 40; turn++) {
    settle();
    for (const machine of machines) goOn(machine);
  }
  const plan = planOf(facts());
  expect(plan).toMatchObject({ make: 0, retire: [], suspend: [] });
  const leased = machines.filter(({ isLeased }) => isLeased).length;
  expect(plan.counts.idle).toBe(Math.min(minimumIdle, maximum - leased));
  expect(machines.filter(({ isLeased, isCurrent }) => !isLeased && !isCurrent)).toEqual([]);
}
