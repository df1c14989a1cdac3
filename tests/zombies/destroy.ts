/**
 * Changes of machines that fall asleep right before the command, are cancelled meanwhile, and wake: none of them may do it any more.
 *
 * The one idea: the question that comes before the change is made slow, so each stop finds its attempt in the same place: all looked at, nothing done.
 */
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { pathOf } from "../../cli/client.ts";
import { Operation, Provisioning } from "../../cli/wire.ts";
import { controlSimulator, usualControl } from "../../parallels/simulator/control.ts";
import { openRegistry } from "../../parallels/simulator/registry.ts";
import type { Random } from "../crash/random.ts";
import { settled, simulatorOf } from "../e2e/faults.ts";
import { changes, logged, until, type Ground, type Sleeper } from "./ground.ts";

export interface Victim {
  readonly host: Sleeper;
  readonly machineId: string;
  readonly name: string;
  readonly snapshotId: string;
}
export interface Zombie {
  readonly victim: Victim;
  readonly verb: string;
  readonly operationId: string;
  /** What the machine was before, to the moment of its boot. */
  readonly before: string;
}

const mebibyte = 1024 ** 2;

/** Running machines with one snapshot each. */
export async function makeVictims({ stack, hosts }: Ground, perHost: number): Promise<Victim[]> {
  const made = hosts.flatMap((host) => Array.from({ length: perHost }, (_, index) => ({ host, name: `${host.name}-${index}` })));
  return Promise.all(
    made.map(async ({ host, name }) => {
      const body = { vcpus: 1, memoryBytes: 512 * mebibyte, image: { catalogId: "base", version: "1" }, hostId: host.id, name };
      const { operation, machine } = await stack.client.send("POST", "/machines", Provisioning, { body });
      await mustBeDone(stack, operation.id);
      const action = { verb: "snapshot-create", name: "before" };
      const { id } = await stack.client.send("POST", `${pathOf("machines", name)}/actions`, Operation, { body: action });
      const snapshotId = String((await mustBeDone(stack, id))?.["snapshotId"]);
      return { host, name, machineId: machine.id, snapshotId };
    }),
  );
}

async function mustBeDone(stack: Ground["stack"], id: string): Promise<Record<string, unknown> | null> {
  const { state, fault, result } = await settled(stack, id, 180_000);
  if (state !== "done") throw new Error(`${id} is ${state}: ${JSON.stringify(fault)}`);
  return result;
}

/** What is asked, and the last look before the command: `list`, where it is not told. */
const acts = [
  () => ({ body: { verb: "reset" } }),
  () => ({ body: { verb: "suspend" } }),
  ({ snapshotId }: Victim) => ({ body: { verb: "snapshot-revert", snapshotId }, look: "snapshot-list" }),
  () => ({ body: { verb: "restart" } }),
  () => ({ body: { verb: "stop", mode: "kill" } }),
  () => ({ body: { verb: "pause" } }),
  () => ({ body: { verb: "retire" } }),
];
type Begun = { readonly body: { readonly verb: string }; readonly look?: string };

/** Looks at a machine take this long: all of a round's attempts are in theirs when the hosts are stopped, also on a loaded computer. */
const slowMs = 20_000;

/** Begins one change of each machine; when this returns, each has begun to look at its machine and done nothing. */
export async function beginChanges(ground: Ground, victims: readonly Victim[], random: Random): Promise<Zombie[]> {
  const { stack, hosts } = ground;
  const first = Math.floor(random.between(0, acts.length));
  const wanted = victims.map((victim, index): { victim: Victim; act: Begun } => {
    return { victim, act: (acts[(first + index) % acts.length] ?? random.pick(acts))(victim) };
  });
  for (const host of hosts) {
    const own = wanted.filter(({ victim }) => victim.host === host);
    const faults = own.map(
      ({ victim, act }) => ({ verb: act.look ?? "list", machine: victim.machineId, kind: "slow", delayMs: slowMs }) as const,
    );
    controlSimulator(simulatorOf(stack, host.name), { ...usualControl, faults });
  }
  const begun = await Promise.all(
    wanted.map(async ({ victim, act: { body } }): Promise<Zombie> => {
      const before = seen(ground, victim);
      const path = pathOf("machines", victim.name);
      const { id: operationId } =
        body.verb === "retire"
          ? await stack.client.send("DELETE", `${path}?force=true`, Operation)
          : await stack.client.send("POST", `${path}/actions`, Operation, { body });
      return { victim, verb: body.verb, operationId, before };
    }),
  );
  await Promise.all(
    wanted.map(({ victim, act }) => until(`${victim.name} is looked at`, () => isLookedAt(victim.machineId, act.look ?? "list"))),
  );
  return begun;
}

/** Judged by what would have changed: name, state, the moment of the boot. What snapshots would show, the commands do. */
function seen({ stack }: Ground, { host, machineId }: Victim): string {
  const { name, settled: state, guest } = openRegistry(simulatorOf(stack, host.name)).find(machineId) ?? {};
  return JSON.stringify({ name, state, guest });
}

/** Whether such a question about this machine runs. */
async function isLookedAt(machineId: string, look?: string): Promise<boolean> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    const looks = look === undefined ? words.includes("list") || words.includes("snapshot-list") : words.includes(look);
    if (looks && words.some((word) => word.includes(machineId))) return true;
  }
  return false;
}

/** While the hosts sleep: nobody wants these changes any more, and the hub waits for none of them. */
export async function cancelChanges({ stack }: Ground, zombies: readonly Zombie[]): Promise<string[]> {
  for (const { operationId } of zombies) await stack.client.send("POST", `${pathOf("operations", operationId)}/cancel`, Operation);
  const ends = await Promise.all(zombies.map(({ operationId }) => settled(stack, operationId, 180_000)));
  for (const { victim } of zombies) await until("no look goes on", async () => !(await isLookedAt(victim.machineId)));
  // What the zombies look at when they wake is quick again.
  for (const { host } of zombies.map(({ victim }) => victim)) controlSimulator(simulatorOf(stack, host.name), { ...usualControl });
  return ends.flatMap(({ id, verb, state }) => (state === "cancelled" ? [] : [`${verb} ${id} is ${state} instead of cancelled`]));
}

/** What wakes hears within this time, from whomever, that it is not wanted any more; until then it would have given its command. */
const overMs = 4_000;

export interface Judged {
  /** Gave no command and left its machine as it was. */
  readonly refused: number;
  /** Of them: asked the hub and were told no, or were ended while they asked. The others heard first from Temporal's client that their time was over. */
  readonly fenced: number;
  readonly wrong: readonly string[];
}

/** Once the hosts are awake. `before`: how many commands each host had given when the round began. */
export async function judgeChanges(ground: Ground, zombies: readonly Zombie[], before: ReadonlyMap<string, number>): Promise<Judged> {
  const { stack, hosts } = ground;
  await delay(overMs);
  const given = await Promise.all(hosts.map(async ({ name }) => (await changes(stack, name)).slice(before.get(name) ?? 0)));
  const told = (await Promise.all(hosts.map(({ name }) => logged(stack, name, "host.fenced")))).flat();
  const wrong = zombies.map((zombie) => {
    const { victim, verb, before: was } = zombie;
    const command = given.flat().find((line) => line.includes(victim.machineId));
    if (command !== undefined) return `a zombie's ${verb} gave the command ${command}`;
    const is = seen(ground, victim);
    return is === was ? null : `after a zombie's ${verb} ${victim.name} is ${is} and was ${was}`;
  });
  return {
    refused: wrong.filter((what) => what === null).length,
    fenced: zombies.filter(({ operationId }) => told.some((line) => line["operationId"] === operationId)).length,
    wrong: wrong.filter((what) => what !== null),
  };
}
