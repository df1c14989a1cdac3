/**
 * One round: several operations of each verb under way at once, processes killed at random moments of their lives, then the look at what is left.
 *
 * The one idea: operations begin so that the kill finds each at a moment of its life that chance chose, so one kill tries many points.
 */
import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { Machine } from "../../cli/wire.ts";
import { openCache } from "../../images/cache.ts";
import { locationsKey, packKey, treeKey } from "../../images/format.ts";
import { readImage } from "../../images/stored.ts";
import { cacheOf } from "../e2e/faults.ts";
import { crashVerbs, makeAsk, newAsk, type Ask, type CrashVerb, type Wanted } from "./asks.ts";
import { makeSource, type Fleet } from "./fleet.ts";
import { findWrong } from "./invariants.ts";
import { counted, kill, underWay, type Hit, type Victim } from "./kills.ts";
import type { Random } from "./random.ts";
import { watchVisible } from "./watch.ts";

/** How long an operation of each verb takes in such company while nobody dies. */
export type Lives = Readonly<Record<CrashVerb, number>>;

export interface Kill {
  readonly victim: Victim;
  /** After the round's beginning, or after the kill before. */
  readonly atMs: number;
  /** Waits for this step, and kills without it only when it does not come. */
  readonly aim?: { readonly verb: CrashVerb; readonly step: string } | undefined;
}
export interface RoundPlan {
  readonly kills: readonly Kill[];
  /** When each operation is asked for, by its verb. */
  readonly askAtMs: (verb: CrashVerb) => number;
  readonly random: Random;
}
export interface RoundResult {
  readonly hits: readonly Hit[];
  readonly asks: readonly Ask[];
  /** Of each operation that was hit: from its last hit to its end. */
  readonly settledMs: readonly { readonly victim: Victim; readonly verb: CrashVerb; readonly ms: number }[];
  /** Of each operation, from its acceptance to its end. */
  readonly livedMs: readonly { readonly verb: CrashVerb; readonly ms: number }[];
  readonly wrong: readonly string[];
  readonly looks: { readonly times: number; readonly things: number };
}

/** What a series of rounds works with: bundles to push next, images and machines of the round before. */
export interface Stage {
  readonly fleet: Fleet;
  readonly perVerb: number;
  readonly judged: Set<string>;
  number: number;
  images: string[];
  machines: string[];
}

export const catalogIdOf = (round: number, index: number): string => `round-${round}-${index}`;

/** Bundles that the next round pushes. */
export async function prepare({ fleet, perVerb, number }: Stage): Promise<void> {
  for (let index = 0; index < perVerb; index += 1) {
    const host = fleet.hosts[index % fleet.hosts.length];
    if (host) await makeSource(fleet, host, catalogIdOf(number + 1, index));
  }
}

const mebibyte = 1024 ** 2;
const small = { vcpus: 1, memoryBytes: 512 * mebibyte };

/** Pushes new bundles, pulls the images of the round before and makes machines of them on other hosts, retires the machines of the round before. */
function wantedOf({ fleet, perVerb, number, images, machines }: Stage): Wanted[] {
  const hostAt = (index: number) => fleet.hosts[index % fleet.hosts.length]?.id ?? "";
  const pushes = Array.from({ length: perVerb }, (_, index): Wanted => {
    const catalogId = catalogIdOf(number, index);
    const [path, hostId] = [fleet.sources.get(catalogId), hostAt(index)];
    return { verb: "push", method: "POST", path: "/images", catalogId, body: { path, hostId, catalogId, version: "1" } };
  });
  const pulls = images.map((catalogId, index): Wanted => {
    const hostId = hostAt(index + 1);
    return { verb: "pull", method: "POST", path: `/hosts/${hostId}/images`, catalogId, hostId, body: { catalogId, version: "1" } };
  });
  const provisions = images.map((catalogId, index): Wanted => {
    // The first shares its transfer with the pull; the others have one of their own.
    const [hostId, name] = [hostAt(index === 0 ? 1 : index + 2), `machine-${number}-${index}`];
    const body = { ...small, name, hostId, image: { catalogId, version: "1" } };
    return { verb: "provision", method: "POST", path: "/machines", catalogId, hostId, name, body };
  });
  const retires = machines.map((machineId, index): Wanted => {
    return { verb: "retire", method: "DELETE", path: `/machines/${machineId}${index % 2 === 0 ? "?force=true" : ""}`, machineId };
  });
  return [...pushes, ...pulls, ...provisions, ...retires];
}

export async function runRound(stage: Stage, plan: RoundPlan): Promise<RoundResult> {
  const { fleet, judged } = stage;
  stage.number += 1;
  const asks = wantedOf(stage).map(newAsk);
  const watch = watchVisible(fleet, judged);
  const asking = asks.map(async (ask) => {
    await delay(plan.askAtMs(ask.verb));
    await makeAsk(fleet, ask);
  });
  const hits: Hit[] = [];
  for (const one of plan.kills) {
    await moment(fleet, one);
    hits.push(...(await kill(fleet, one.victim, asks, plan.random)));
  }
  // While what died comes back, the next round's bundles are made.
  await prepare(stage);
  await Promise.all(asking);
  await settledAll(fleet, asks);
  await answers(fleet);
  keepBooks(stage, asks);
  const unseen = await watch.stop();
  const wrong = [...unseen, ...(await findWrong(fleet, asks))];
  const real = await counted(fleet, hits);
  const times = await timesOf(fleet, asks, real);
  await dropOld(stage);
  return { hits: real, asks, wrong, looks: watch.looks(), ...times };
}

/** A step that is aimed at shows within its operation's life; what is over by then was missed. */
const aimLimitMs = 15_000;

async function moment(fleet: Fleet, { atMs, aim }: Kill): Promise<void> {
  await delay(atMs);
  for (const end = performance.now() + aimLimitMs; aim && performance.now() < end; await delay(10)) {
    const rows = await underWay(fleet).catch(() => []);
    if (rows.some(({ verb, step }) => verb === aim.verb && step === aim.step)) return;
  }
}

/** The longest way is a hub worker's death in a step of the hub, 30 s until it is tried again; twice dead and on a loaded computer, some minutes. */
const settleLimitMs = 300_000;

async function settledAll(fleet: Fleet, asks: readonly Ask[]): Promise<void> {
  const ids = asks.flatMap(({ operationId }) => operationId ?? []);
  for (const end = Date.now() + settleLimitMs; Date.now() < end; await delay(100)) {
    const rows = await fleet.sql<{ state: string }[]>`
      select state from operations where id in ${fleet.sql(ids)} and state not in ('done', 'failed', 'cancelled')`.catch(() => null);
    if (rows !== null && rows.every(({ state }) => state === "parked")) return;
  }
}

/** Operations may end before the API, killed last, is back. */
async function answers({ stack }: Fleet): Promise<void> {
  for (const end = Date.now() + settleLimitMs; Date.now() < end; await delay(100))
    if (await stack.client.list("/machines", Machine, {}, 1).catch(() => null)) return;
}

function keepBooks(stage: Stage, asks: readonly Ask[]): void {
  const { fleet } = stage;
  for (const { verb, machineId, madeMachineId, name, catalogId, hostId } of asks) {
    if (verb === "retire" && machineId !== undefined) fleet.living.delete(machineId);
    if (madeMachineId !== null) fleet.living.set(madeMachineId, { name: name ?? "", catalogId: catalogId ?? "", hostId: hostId ?? "" });
  }
  stage.images = asks.flatMap(({ verb, catalogId }) => (verb === "push" ? (catalogId ?? []) : []));
  stage.machines = asks.flatMap(({ madeMachineId }) => madeMachineId ?? []);
}

async function timesOf({ sql }: Fleet, asks: readonly Ask[], hits: readonly Hit[]): Promise<Pick<RoundResult, "settledMs" | "livedMs">> {
  const ids = asks.flatMap(({ operationId }) => operationId ?? []);
  const rows = await sql<{ id: string; verb: CrashVerb; createdAt: Date; endedAt: Date | null }[]>`
    select id, verb, created_at as "createdAt", ended_at as "endedAt" from operations where id in ${sql(ids)}`;
  const livedMs = rows.flatMap(({ verb, createdAt, endedAt }) => (endedAt ? [{ verb, ms: endedAt.getTime() - createdAt.getTime() }] : []));
  const settledMs = rows.flatMap(({ id, verb, endedAt }) => {
    const last = hits.findLast(({ operationId }) => operationId === id);
    return last && endedAt ? [{ victim: last.victim, verb, ms: endedAt.getTime() - last.killedAt }] : [];
  });
  return { livedMs, settledMs };
}

/** Keeps the disk from filling: what no later round speaks of goes from caches, store and folders of bundles. */
async function dropOld({ fleet, number, perVerb }: Stage): Promise<void> {
  const signal = new AbortController().signal;
  for (let index = 0; index < perVerb; index += 1) {
    const catalogId = catalogIdOf(number - 2, index);
    const source = fleet.sources.get(catalogId);
    const [row] = await fleet.sql<{ digest: string; generation: number }[]>`
      select digest, generation from image_versions where catalog_id = ${catalogId}`;
    if (!source || !row) continue;
    const { locations } = await readImage(fleet.store, row, signal);
    await fleet.sql`delete from image_versions where catalog_id = ${catalogId}`;
    for (const host of fleet.hosts) await openCache(cacheOf(fleet.stack, host.name)).remove(row.digest);
    for (const { sha256 } of locations.packs) await fleet.store.remove(packKey(sha256));
    await fleet.store.remove(locationsKey(row.digest, row.generation));
    await fleet.store.remove(treeKey(row.digest));
    await rm(source, { recursive: true, force: true });
    fleet.sources.delete(catalogId);
  }
}

/** Begins with rounds in which nobody dies: the first has nothing to pull, the second nothing to retire, the third is whole and tells how long each verb takes. */
export async function openStage(
  fleet: Fleet,
  { perVerb, random, calmRounds = 3 }: StageOptions,
): Promise<{ stage: Stage; lives: Lives; asks: readonly Ask[] }> {
  const stage: Stage = { fleet, perVerb, judged: new Set(), number: 0, images: [], machines: [] };
  await prepare(stage);
  const lived = new Map<CrashVerb, number[]>();
  let last: readonly Ask[] = [];
  for (let round = 0; round < calmRounds; round += 1) {
    const { asks, wrong, livedMs } = await runRound(stage, { kills: [], askAtMs: () => random.between(0, calmWindowMs), random });
    if (wrong.length > 0) throw new Error(`Something is wrong before anything was killed:\n${wrong.join("\n")}`);
    last = asks;
    for (const verb of crashVerbs) {
      const times = livedMs.filter((one) => one.verb === verb).map(({ ms }) => ms);
      if (times.length > 0) lived.set(verb, times);
    }
  }
  const [push = 0, pull = 0, provision = 0, retire = 0] = crashVerbs.map((verb) => median(lived.get(verb) ?? []));
  return { stage, lives: { push, pull, provision, retire }, asks: last };
}

interface StageOptions {
  readonly perVerb: number;
  readonly random: Random;
  readonly calmRounds?: number;
}

/** Operations of a calm round begin within this time, as they would by themselves. */
const calmWindowMs = 5_000;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
