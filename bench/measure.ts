/**
 * The steps of one store in their order, each of ours in a process of its own and beside it the peer, so that both meet the same moment of the computer.
 *
 * With several runs every step is measured as often, and its median counts.
 */
import { execFile, fork } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Level } from "../images/level.ts";
import { imagePaths } from "../images/layout.ts";
import { pushRecordPath } from "../images/push-record.ts";
import { changedSince, clustersOf } from "./changed.ts";
import { changeInput, makeInput, type Input } from "./input.ts";
import { copy, pack, unpack, type PeerRun, type Shelf } from "./peers.ts";
import type { Done, Order } from "./step.ts";
import type { RealStoreAt, StoreAt } from "./store-at.ts";

export interface MeasureAsk {
  readonly gib: number;
  readonly runs: number;
  /** An empty folder for everything of this store. */
  readonly root: string;
  /** Where the host keeps its images; `root` where it is null. */
  readonly hostRoot: string | null;
  /** An empty store for each name. */
  readonly store: (name: string) => RealStoreAt;
  readonly shelf: Shelf;
  /** Where mke2fs, debugfs and qemu-io are looked for. */
  readonly path: string;
  readonly say: (text: string) => void;
}

export interface SettledPeer extends PeerRun {
  /** Until the system had written what the peer left in memory. */
  readonly settledSeconds: number;
}

/** The median of a step over all runs. */
export interface Step {
  readonly ours: Done;
  readonly theirs: SettledPeer | null;
}

export interface Measured {
  readonly steps: ReadonlyMap<string, Step>;
  readonly changed: { readonly bytes: number; readonly packedBytes: number };
  /** What the disk holds and how it changed, in words. */
  readonly how: string;
}

/** One run's own names and places. */
interface Turn {
  readonly ask: MeasureAsk;
  readonly input: Input;
  readonly at: (file: string) => string;
  readonly host: (file: string) => string;
  readonly store: RealStoreAt;
  /** As empty as the first one was. */
  readonly other: RealStoreAt;
  measure(what: string, order: Order, theirs?: () => Promise<PeerRun>): Promise<Done>;
}

export async function measureStore(ask: MeasureAsk): Promise<Measured> {
  const { gib, root, runs, say, path } = ask;
  say(`making a bundle of ${gib} GiB`);
  const input = await makeInput({ folder: join(root, "input"), mebibytes: Math.round(gib * 1024), path });
  await warmUp(ask);
  const found = new Map<string, Step[]>();
  const turn = (n: number) => openTurn(ask, input, n, found);
  const firsts: Done[] = [];
  for (let n = 0; n < runs; n++) firsts.push(await measureFirst(turn(n)));
  const before = await clustersOf(input.bundlePath);
  const how = `content ${input.content}, ${await changeInput(input, path)}`;
  const changed = await changedSince(before, input.bundlePath);
  for (const [n, first] of firsts.entries()) await measureDelta(turn(n), first);
  return { steps: new Map([...found].map(([what, steps]) => [what, median(steps)])), changed, how };
}

function openTurn(ask: MeasureAsk, input: Input, n: number, found: Map<string, Step[]>): Turn {
  const at = (file: string) => join(ask.root, `${file}-${n}`);
  const host = (file: string) => join(ask.hostRoot ?? ask.root, `${file}-${n}`);
  return {
    ask,
    input,
    at,
    host,
    store: ask.store(`run-${n}`),
    other: ask.store(`other-${n}`),
    measure: async (what, order, theirs) => {
      ask.say(`${what} (${n + 1} of ${ask.runs})`);
      await settleDisk();
      const ours = await step(order, join(ask.root, "compiled"));
      await settleDisk();
      found.set(what, [...(found.get(what) ?? []), { ours, theirs: theirs ? await settled(theirs) : null }]);
      return ours;
    },
  };
}

/** What an earlier step left for the system to write would be paid by whoever comes next. */
const settleDisk = async (): Promise<void> => void (await promisify(execFile)("sync"));

/** Ours ends when its bytes are on the disk; so it is told apart when the peer's are. */
async function settled(run: () => Promise<PeerRun>): Promise<SettledPeer> {
  const done = await run();
  const start = performance.now();
  await settleDisk();
  const settledSeconds = done.seconds + (performance.now() - start) / 1000;
  if (done.target !== null) await rm(done.target, { recursive: true });
  return { ...done, settledSeconds };
}

interface PushTurn extends Pick<Turn, "input" | "at"> {
  readonly store: StoreAt;
}

function pushOrder(
  { input, at, store }: PushTurn,
  journal: string,
  bases: readonly Done[],
  options: { verify?: boolean; level?: Level } = {},
): Order {
  const refs = bases.map(({ digest }) => ({ digest, generation: 1 }));
  const common = {
    kind: "push",
    bundlePath: input.bundlePath,
    journalPath: at(journal),
    recordPath: pushRecordPath(at("records"), input.bundlePath),
  } as const;
  return { ...common, store, bases: refs, ...options };
}

function pullOrder({ store, host }: Turn, { digest }: Done, to: string, seeds: readonly Done[]): Order {
  const from = seeds.map((seed) => ({ digest: seed.digest, path: host("one") }));
  return { kind: "pull", store, image: { digest, generation: 1 }, targetPath: host(to), seeds: from };
}

async function measureFirst(turn: Turn): Promise<Done> {
  const { ask, input, at, host, measure } = turn;
  const packing = () => pack(input.bundlePath, ask.shelf);
  const first = await measure("first push", pushOrder(turn, "journal-first", []), packing);
  await measure("push again", pushOrder(turn, "journal-again", [first]));
  await measure("push again, --verify", pushOrder(turn, "journal-verify", [first], { verify: true }));
  // As fast as the processors are: what either waits for the other shows.
  const line = { bytesPerSecond: first.storedBytes / first.seconds };
  await measure("first push, line", pushOrder({ input, at: (file) => at(`line-${file}`), store: line }, "journal", []));
  const adaptive = { ...turn, store: turn.other, at: (file: string) => at(`adaptive-${file}`) };
  await measure("first push, adaptive", pushOrder(adaptive, "journal", [], { level: "adaptive" }));
  await measure("pull", pullOrder(turn, first, "one", []), () => unpack(ask.shelf, host("unpacked")));
  return first;
}

async function measureDelta(turn: Turn, first: Done): Promise<void> {
  const { host, measure } = turn;
  const delta = await measure("delta push", pushOrder(turn, "journal-delta", [first]));
  // What a disk that cannot clone needs for the seed alone.
  const seed = imagePaths(host("one")).bundle;
  await measure("delta pull", pullOrder(turn, delta, "two", [first]), () => copy(seed, host("seed")));
  const cached = imagePaths(host("two")).bundle;
  await measure("provision", { kind: "clone", from: cached, to: host("machine") }, () => copy(cached, host("copied")));
  for (const name of ["one", "two", "machine"]) await rm(host(name), { recursive: true });
}

function median(steps: readonly Step[]): Step {
  const middle = <T>(of: (step: Step) => T, value: (item: T) => number): T => {
    const sorted = steps.map(of).toSorted((a, b) => value(a) - value(b));
    return sorted[Math.floor((sorted.length - 1) / 2)] as T;
  };
  return {
    ours: middle(
      ({ ours }) => ours,
      ({ seconds }) => seconds,
    ),
    theirs: middle(
      ({ theirs }) => theirs,
      (theirs) => theirs?.seconds ?? 0,
    ),
  };
}

/** Once with a little, so that no step pays for what the first one finds cold: a server that lays out its volumes, sources that are not compiled yet. */
async function warmUp({ root, store }: MeasureAsk): Promise<void> {
  const at = (file: string) => join(root, file);
  const { bundlePath } = await makeInput({ folder: at("small"), mebibytes: 32, path: "" });
  const push = {
    kind: "push",
    store: store("warm"),
    bundlePath,
    bases: [],
    journalPath: at("journal-0"),
    recordPath: pushRecordPath(at("records-0"), bundlePath),
  } as const;
  const { digest } = await step(push, at("compiled"));
  await step({ kind: "pull", store: store("warm"), image: { digest, generation: 1 }, targetPath: at("zero"), seeds: [] }, at("compiled"));
  await rm(at("small"), { recursive: true });
}

/** The compiled sources are kept for the run, as the published package is compiled ahead: else each peak would hold the compiler. */
export function step(order: Order, compiled: string): Promise<Done> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NODE_COMPILE_CACHE: compiled };
    const child = fork(new URL("./step.ts", import.meta.url), [], { execArgv: [], env });
    child.once("message", (done) => resolve(done as Done));
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`The step ${order.kind} ended with code ${code}.`)));
    child.send(order);
  });
}
