/** Operations side by side in one cache: a prune takes nothing that one of them uses, and none begins anew what another has just brought. */
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { MockActivityEnvironment } from "@temporalio/testing";
import { DefaultLogger } from "@temporalio/worker";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cacheKeepingActivities } from "../../activities/host/cache.ts";
import { cacheActivities, openFetching } from "../../activities/host/fetch.ts";
import type { HostContext } from "../../activities/host/context.ts";
import { copyMarked } from "../../activities/host/prepare.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { parseSeal, sealHolds } from "../../images/seal.ts";
import { makeBundle } from "../../parallels/bundle/make.ts";
import { memoryStore } from "../../stores/memory.ts";
import type { Wanted } from "../../workflows/catalog/fetch.ts";
import { freshHost, hubId, openHome } from "./host.ts";

const logger = new DefaultLogger("ERROR");
const signal = new AbortController().signal;
let home: string;
let context: HostContext;

beforeAll(async () => {
  home = await openHome();
  ({ context } = freshHost(home));
}, 60_000);
afterAll(() => rm(home, { recursive: true, force: true }));

describe("a prune beside 50 operations", () => {
  it("removes no image that one of them uses, and all that none uses", async () => {
    const wanted = await Promise.all(["a", "b", "c"].map(cachedImage));
    const idle = await cachedImage("idle");
    const fetching = cacheActivities(openFetching(context));
    const keeping = cacheKeepingActivities(context);
    let working = 50;
    const removed: string[] = [];

    const provision = async (n: number): Promise<boolean> => {
      const image = wanted[n % wanted.length];
      if (!image) throw new Error("There are three images.");
      const operationId = `op-${n}`;
      const room = await act(() => fetching.makeRoom({ operationId, wanted: image }));
      // One that was pruned before anybody used it is fetched again, which is not what is looked at here.
      if (!room.cached) return false;
      // As a machine is made of it, without Parallels Desktop's part.
      const from = context.cache.paths(image.digest).bundle;
      const mark = { hubId, machineId: crypto.randomUUID(), epoch: 1, operationId };
      const to = join(context.machineFolder, `machine-${n}.pvm`);
      await context.pins.holding([image.digest], () => copyMarked(context, { from, to, mark, signal }));
      return true;
    };
    const prune = async () => {
      for (let n = 0; working > 0; n++) {
        const change = { act: "prune", digests: null, unusedForMs: 0, dryRun: false } as const;
        const pruned = await act(() => keeping.pruneCache({ operationId: `prune-${n}`, change }));
        removed.push(...pruned.removed.map(({ digest }) => digest));
      }
    };
    const done = Array.from({ length: 50 }, (_, n) => provision(n).finally(() => working--));
    const [made] = await Promise.all([Promise.all(done), prune()]);

    // Each image was either gone before its first operation looked, for all of them, or it stayed for all.
    for (const [n, image] of wanted.entries()) {
      const own = made.filter((_, at) => at % wanted.length === n);
      expect(new Set(own).size).toBe(1);
      expect(removed.includes(image.digest)).toBe(own[0] === false);
    }
    expect(made).toContain(true);
    expect(removed).toContain(idle.digest);
    expect(await context.cache.has(idle.digest)).toBe(false);
  }, 120_000);
});

describe("two operations that want one image", () => {
  it.each(["shown", "arrived"] as const)("find it %s although the hub answered the second one late", async (how) => {
    const image = await incomingImage(how);
    const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<{ fence: number }>()];
    const grants = () => (asked.resolve(), answer.promise);
    const fetching = openFetching({ ...context, link: { ...context.link, grants } as unknown as HostContext["link"] });
    const late = act(() => cacheActivities(fetching).fetchImage({ operationId: "late", step: "fetch", wanted: image }));
    await asked.promise;
    if (how === "shown") await context.cache.reveal(image.digest);
    else fetching.arrivals.arrived(image.digest);
    answer.resolve({ fence: 1 });
    expect(await late).toMatchObject({ wasCached: true, fetchedBytes: 0 });
    const { bundle, seal } = how === "shown" ? context.cache.paths(image.digest) : context.cache.incoming(image.digest);
    const kept = parseSeal(await readFile(seal, "utf8"));
    expect(kept && (await sealHolds(bundle, kept))).toBe(true);
  });
});

const act = <T>(work: () => Promise<T>): Promise<T> => new MockActivityEnvironment({}, { logger }).run<[], T, () => Promise<T>>(work);

/** An image as a pull brings it: with its tree and its seal. */
async function cachedImage(name: string): Promise<Wanted> {
  const image = await incomingImage(name);
  await context.cache.reveal(image.digest);
  return image;
}

async function incomingImage(name: string): Promise<Wanted> {
  const folder = join(home, "made", name);
  await mkdir(folder, { recursive: true });
  const facts = { kind: "pvm", osType: 9, osNumber: 2314, cpus: 1, memoryMegabytes: 512, diskBytes: 8 * 1024 ** 2 } as const;
  const { bundlePath } = await makeBundle({ folder, name, ...facts });
  const store = memoryStore();
  const journalPath = join(folder, "journal");
  const { digest } = await pushBundle({ bundlePath, store, bases: [], journalPath, generation: 1, signal });
  await pullTree({ digest, generation: 1, store, targetPath: context.cache.incoming(digest).folder, seeds: [], signal, threads: 1 });
  return { digest, generation: 1, kind: "pvm", logicalBytes: 1, allocatedBytes: 1, image: `${name}/1/arm64` };
}
