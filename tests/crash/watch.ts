/**
 * Looks at everything that can be seen while processes die: whatever is visible must be whole at first sight.
 *
 * The one idea: each thing is judged once, the moment it appears, since nothing that is visible may change afterwards.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ImageVersion } from "../../cli/wire.ts";
import { FaultError } from "../../domain/errors.ts";
import { readMark } from "../../activities/host/mark.ts";
import { cachedPaths } from "../../images/layout.ts";
import { checkPacks, readImage } from "../../images/stored.ts";
import { parseTree } from "../../images/tree.ts";
import { verifyFolder } from "../../images/verify.ts";
import { expectEqualDisks } from "../e2e/disks.ts";
import { cacheOf, machineFolderOf } from "../e2e/faults.ts";
import type { Fleet, FleetHost } from "./fleet.ts";

export interface Watch {
  /** What was seen and was not whole. */
  stop(): Promise<string[]>;
  /** How often it looked, and at how many things. */
  looks(): { times: number; things: number };
}

/** A rename is over in microseconds, and what it shows stays: looking five times a second misses nothing that lasts. */
const everyMs = 200;

export function watchVisible(fleet: Fleet, judged: Set<string>): Watch {
  const wrong: string[] = [];
  let stopped = false;
  let times = 0;
  const before = judged.size;
  const judge = async (key: string, look: () => Promise<unknown>) => {
    if (judged.has(key)) return;
    judged.add(key);
    await look().catch((error: unknown) => wrong.push(`${key} was visible and not whole: ${told(error)}`));
  };
  const watching = (async () => {
    while (!stopped) {
      await lookAtImages(fleet, judge);
      for (const host of fleet.hosts) {
        await lookAtCache(fleet, host, judge);
        await lookAtMachines(fleet, host, judge);
      }
      times += 1;
      await delay(everyMs);
    }
  })();
  watching.catch(() => {});
  return {
    looks: () => ({ times, things: judged.size - before }),
    stop: async () => {
      stopped = true;
      await watching.catch((error: unknown) => wrong.push(`the watch ended: ${told(error)}`));
      return wrong;
    },
  };
}

type Judge = (key: string, look: () => Promise<unknown>) => Promise<void>;

const told = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What clients see; while the API is down they see nothing. */
async function lookAtImages(fleet: Fleet, judge: Judge): Promise<void> {
  const images = await fleet.stack.client.list("/images", ImageVersion).catch(() => []);
  for (const { catalogId, digest, generation } of images)
    await judge(`the image ${catalogId}`, async () => {
      const { locations } = await readImage(fleet.store, { digest, generation }, new AbortController().signal);
      await checkPacks(fleet.store, locations);
    });
}

async function lookAtCache(fleet: Fleet, { name }: FleetHost, judge: Judge): Promise<void> {
  const cache = cacheOf(fleet.stack, name);
  const digests = (await readdir(cache).catch(() => [])).filter((entry) => /^[0-9a-f]{64}$/.test(entry));
  for (const digest of digests) await judge(`${digest} in the cache of ${name}`, () => expectWholeInCache(cache, digest));
}

async function expectWholeInCache(cache: string, digest: string): Promise<void> {
  const paths = cachedPaths(cache, digest);
  const tree = parseTree(await readFile(paths.tree), digest);
  const signal = new AbortController().signal;
  const [first] = await verifyFolder({ path: paths.bundle, tree, full: true, seal: null, signal, threads: 1 });
  if (first) throw new Error(`${first.path}: ${first.problem}`);
}

/** Every bundle under the name of a machine: Parallels Desktop may have been told of it. */
async function lookAtMachines(fleet: Fleet, { name }: FleetHost, judge: Judge): Promise<void> {
  const folder = machineFolderOf(fleet.stack, name);
  const bundles = (await readdir(folder).catch(() => [])).filter((entry) => entry.endsWith(".pvm"));
  for (const bundle of bundles) await judge(`${bundle} on ${name}`, () => expectWholeMachine(fleet, join(folder, bundle)));
}

/** Marked, and its disk is the image's. One that is retired at this moment is gone, which is whole too. */
async function expectWholeMachine(fleet: Fleet, bundlePath: string): Promise<void> {
  const mark = await readMark(bundlePath);
  const source = mark && (await sourceOf(fleet, mark.machineId));
  try {
    if (!source) throw new Error(mark ? `no image is known for ${mark.machineId}` : "it carries no mark");
    await expectEqualDisks(source, bundlePath);
  } catch (error) {
    if ((await stat(bundlePath).catch(() => null)) !== null && (await readMark(bundlePath)) !== null) throw error;
    if (mark === null && (await stat(bundlePath).catch(() => null)) !== null) throw error;
  }
}

/** The books know it where the database does not answer. */
async function sourceOf(fleet: Fleet, machineId: string): Promise<string | null> {
  for (;;) {
    try {
      const [row] = await fleet.sql<{ image: string | null }[]>`select image from machines where id = ${machineId}`;
      const catalogId = row?.image?.split("/")[0] ?? "";
      return fleet.sources.get(catalogId) ?? null;
    } catch (error) {
      if (error instanceof FaultError) throw error;
      await delay(everyMs);
    }
  }
}
