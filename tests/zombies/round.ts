/**
 * One round of zombies: changes and pushes under way on every host, all hosts stopped for longer than heartbeats may be missed, woken, and judged.
 *
 * The one idea: while they sleep the hub goes on without them; when they wake they hear nothing from Temporal's server until every one of them is over.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../crash/random.ts";
import { beginChanges, cancelChanges, judgeChanges, type Victim } from "./destroy.ts";
import { changes, signal, type Ground } from "./ground.ts";
import { beginPushes, judgePushes, makeSources } from "./publish.ts";

export interface ZombieRound {
  readonly changes: { readonly zombies: number; readonly refused: number; readonly fenced: number };
  readonly pushes: { readonly zombies: number; readonly refused: number };
  readonly wrong: readonly string[];
}
export interface ZombiePlan {
  readonly number: number;
  readonly victims: readonly Victim[];
  readonly pushesPerHost: number;
  readonly random: Random;
}

/** The heartbeat timeout is 10 s: by then the server has given every attempt up. */
const asleepMs = 12_000;

export async function zombieRound(ground: Ground, { number, victims, pushesPerHost, random }: ZombiePlan): Promise<ZombieRound> {
  const { stack, hosts } = ground;
  const before = new Map(await Promise.all(hosts.map(async ({ name }) => [name, (await changes(stack, name)).length] as const)));
  const sources = await makeSources(ground, number, pushesPerHost);
  const zombies = await beginChanges(ground, victims, random);
  const uploads = await beginPushes(ground, sources);
  await delay(random.between(0, 300));
  for (const { name, line } of hosts) {
    signal(stack, name, "SIGSTOP");
    line.cut();
  }
  const wake = delay(asleepMs);
  const wrong = await cancelChanges(ground, zombies);
  await wake;
  for (const { name } of hosts) signal(stack, name, "SIGCONT");
  const changed = await judgeChanges(ground, zombies, before);
  for (const { line } of hosts) line.mend();
  const pushed = await judgePushes(ground, uploads);
  return {
    changes: { zombies: zombies.length, refused: changed.refused, fenced: changed.fenced },
    pushes: { zombies: uploads.length, refused: pushed.refused },
    wrong: [...wrong, ...changed.wrong, ...pushed.wrong],
  };
}
