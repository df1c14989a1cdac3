/**
 * The hub's worker killed with -9 in each step of a collection, on an S3 store, while pushes bring new versions: every operation is done, what lives is whole
 * after every kill, and in the end nothing dead is left.
 */
import { randomBytes } from "node:crypto";
import { cp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openHds } from "../../parallels/hds.ts";
import { locationsKey, packKey, treeKey } from "../../images/format.ts";
import { cachedPaths } from "../../images/layout.ts";
import { readImage } from "../../images/stored.ts";
import { makeSource, openFleet, sourcesOf, type Fleet } from "../crash/fleet.ts";
import { expectWholeInStore } from "../crash/invariants.ts";
import { underWay } from "../crash/kills.ts";
import { randomFrom, testSeed } from "../crash/random.ts";
import { expectEqualDisks } from "../e2e/disks.ts";
import { cacheOf, settled } from "../e2e/faults.ts";
import { ownServers } from "../e2e/stack.ts";

const seed = testSeed();
const random = randomFrom(seed);
const steps = ["repack", "mark", "sweep"] as const;
const kills = 9;
/** A hub worker's death is noticed after 10 s; a push that another hub step waits for may need twice that, and this computer is slow. */
const settleMs = 300_000;
const catalogs = ["red", "blue"] as const;
const signal = new AbortController().signal;

let fleet: Fleet;
beforeAll(async () => {
  const servers = await ownServers();
  // No grace: what nothing needs may go with the next collection. Repacked trees are pushed, pulled and told of as all others.
  const variables = { ...servers, DROVER_COLLECT_GRACE: "0s", DROVER_COLLECT_EVERY: "1h", DROVER_SCRUB_EVERY: "0s" };
  fleet = await openFleet({ hosts: 2, store: "S3", servers: { variables, databaseUrl: servers["DATABASE_URL"] ?? "" } });
}, 600_000);
afterAll(() => fleet?.close(), 60_000);

const hostOf = (catalogId: string) => fleet.hosts[catalogId === "red" ? 0 : 1] ?? { name: "", id: "" };

/** The version before with two of three clusters written anew, here and there: so most packs of that one are mostly dead once it is deleted. */
async function makeNext(catalogId: string, version: number): Promise<void> {
  const bundle = join(sourcesOf(fleet.stack, hostOf(catalogId).name), `${catalogId}-${version}.pvm`);
  await cp(fleet.sources.get(`${catalogId}-${version - 1}`) ?? "", bundle, { recursive: true });
  const disk = (await readdir(bundle, { recursive: true })).find((name) => name.endsWith(".hds")) ?? "";
  const hds = await openHds(join(bundle, disk), "r+");
  try {
    for (let cluster = 0; cluster < hds.info.clusters; cluster++)
      if (hds.isAllocated(cluster) && random.next() < 0.66) await hds.writeCluster(cluster, randomBytes(hds.info.clusterBytes));
  } finally {
    await hds.close();
  }
  fleet.sources.set(`${catalogId}-${version}`, bundle);
}

const detached = async (...words: string[]): Promise<string> => (await fleet.stack.json<{ id: string }>(...words, "--detach")).id;
const push = (catalogId: string, version: number): Promise<string> =>
  detached(
    "push",
    fleet.sources.get(`${catalogId}-${version}`) ?? "",
    catalogId,
    "--version",
    String(version),
    "--host",
    hostOf(catalogId).name,
  );

/** Waits until the collection is in that step, and a moment longer; false when it was over before. */
async function comes(id: string, step: string): Promise<boolean> {
  for (; ; await delay(5)) {
    const [found] = (await underWay(fleet)).filter((row) => row.id === id);
    if (!found) return false;
    if (found.step === step) break;
  }
  await delay(random.between(0, 400));
  return (await underWay(fleet)).some((row) => row.id === id);
}

async function killHub(): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const pid = fleet.stack.stack.pids()["hub"];
    if (pid) return void process.kill(pid, "SIGKILL");
    await delay(100);
  }
  throw new Error("The hub worker did not come back within a minute.");
}

interface LivingRow {
  readonly catalogId: string;
  readonly version: string;
  readonly digest: string;
  readonly generation: number;
}
const living = async (): Promise<LivingRow[]> => [
  ...(await fleet.sql<LivingRow[]>`select catalog_id as "catalogId", version, digest, generation from image_versions`),
];

async function expectAllWhole(): Promise<void> {
  for (const row of await living()) await expectWholeInStore(fleet, row);
}

it(`loses nothing that lives and leaves nothing dead under ${kills} kills (DROVER_TEST_SEED=${seed})`, async () => {
  for (const catalogId of catalogs) {
    await makeSource(fleet, hostOf(catalogId), catalogId);
    fleet.sources.set(`${catalogId}-1`, fleet.sources.get(catalogId) ?? "");
    expect(await settled(fleet.stack, await push(catalogId, 1), settleMs)).toMatchObject({ state: "done" });
  }
  const hit: string[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const version = kill + 2;
    for (const catalogId of catalogs) await makeNext(catalogId, version);
    // Of one catalog the version before goes now, of the other the one before that: so something is dead, something half dead, and something shared.
    const [first, second] = kill % 2 === 0 ? catalogs : [catalogs[1], catalogs[0]];
    for (const { catalogId, version: old } of await living()) {
      if (Number(old) === version - 1 && (catalogId === second || kill % 3 !== 0)) continue;
      await fleet.stack.json("image", "delete", `${catalogId}:${old}`);
      await rm(fleet.sources.get(`${catalogId}-${old}`) ?? "", { recursive: true });
    }
    const pushes = [push(first, version)];
    await delay(random.between(0, 1_000));
    const collecting = await detached("store", "gc");
    pushes.push(push(second, version));
    const step = steps[kill % steps.length] ?? "sweep";
    if (await comes(collecting, step)) hit.push(step);
    const found = await underWay(fleet);
    await killHub();
    process.stdout.write(`kill ${kill + 1}, ${step}: ${found.map((row) => `${row.verb} ${row.step ?? row.state}`).join(", ")}\n`);
    for (const id of [collecting, ...(await Promise.all(pushes))])
      expect(await settled(fleet.stack, id, settleMs), `kill ${kill + 1}`).toMatchObject({ state: "done" });
    await expectAllWhole();
  }
  process.stdout.write(`${hit.length} of ${kills} kills met their step (${hit.join(", ")}), seed ${seed}\n`);
  expect(hit.length).toBeGreaterThanOrEqual(kills / 2);
  await leaveNothingDead();
  await pullAll();
}, 3_600_000);

/** One more to condemn what is left, one to remove it, and one for what only repacking freed. */
async function leaveNothingDead(): Promise<void> {
  for (let n = 0; n < 3; n++) expect(await settled(fleet.stack, await detached("store", "gc"), settleMs)).toMatchObject({ state: "done" });
  const needed = new Set<string>();
  for (const row of await living()) {
    needed.add(treeKey(row.digest)).add(locationsKey(row.digest, row.generation));
    for (const { sha256 } of (await readImage(fleet.store, row, signal)).locations.packs) needed.add(packKey(sha256));
  }
  const there: string[] = [];
  for await (const { key } of fleet.store.list(".drover/v1/")) there.push(key);
  expect(there.toSorted()).toEqual([...needed].toSorted());
  expect(await fleet.stack.json("store", "check", "--read-data")).toMatchObject({ found: 0, orphans: 0 });
}

/** To the other host, which has none of it. */
async function pullAll(): Promise<void> {
  for (const { catalogId, version, digest } of await living()) {
    const host = hostOf(catalogId === "red" ? "blue" : "red");
    const id = await detached("pull", `${catalogId}:${version}`, "--host", host.name);
    expect(await settled(fleet.stack, id, settleMs)).toMatchObject({ state: "done" });
    await expectEqualDisks(fleet.sources.get(`${catalogId}-${version}`) ?? "", cachedPaths(cacheOf(fleet.stack, host.name), digest).bundle);
  }
}
