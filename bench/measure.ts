/**
 * The steps of one store in their order, each of ours in a process of its own and beside it the peer, so that both meet the same moment of the computer.
 */
import { fork } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { imagePaths } from "../images/layout.ts";
import { changeInput, makeInput } from "./input.ts";
import { copy, pack, unpack, type PeerRun, type Shelf } from "./peers.ts";
import type { Done, Order, StoreAt } from "./step.ts";
import { smallerIsBetter, type Row } from "./table.ts";

export interface MeasureAsk {
  readonly name: string;
  readonly gib: number;
  /** An empty folder for everything of this store. */
  readonly root: string;
  readonly store: StoreAt;
  readonly shelf: Shelf;
  /** Where mke2fs and debugfs are looked for. */
  readonly path: string;
  readonly say: (text: string) => void;
}

export interface Measured {
  readonly rows: readonly Row[];
  /** What the rows have no place for, as sentences. */
  readonly remarks: readonly string[];
}

interface Step {
  readonly what: string;
  readonly peer: string;
  readonly ours: Done;
  readonly theirs: PeerRun;
}

const mebibyte = 1024 * 1024;

export async function measureStore(ask: MeasureAsk): Promise<Measured> {
  const { name, gib, root, say, path } = ask;
  say(`${name}: making a bundle of ${gib} GiB`);
  const input = await makeInput({ folder: join(root, "input"), mebibytes: Math.round(gib * 1024), path });
  await warmUp(ask);
  const { steps, changedBytes } = await runSteps(ask, input.bundlePath, () => changeInput(input, path));
  const rows = steps.map(({ what, peer, ours, theirs }) =>
    smallerIsBetter(`${what}, ${name}, ${gib} GiB`, ours.seconds, "s", { name: peer, value: theirs.seconds }),
  );
  return { rows: [...rows, memoryRow(ask, steps)], remarks: remarksOf(name, input.content, changedBytes, steps) };
}

async function runSteps(ask: MeasureAsk, bundlePath: string, change: () => Promise<number>) {
  const { name, root, store, shelf, say } = ask;
  const at = (file: string) => join(root, file);
  const steps: Step[] = [];
  const run = async (what: string, order: Order, peer: string, work: () => Promise<PeerRun>): Promise<Done> => {
    say(`${name}: ${what}`);
    const ours = await step(order, at("compiled"));
    steps.push({ what, peer, ours, theirs: await work() });
    return ours;
  };
  const packing = `tar -S | zstd -3 -T0${shelf.suffix}`;
  const unpacking = `${shelf.suffix && "S3 | "}zstd -d | tar -xS`;
  const push = (turn: number, bases: readonly Done[]): Order => {
    const journalPath = at(`journal-${turn}`);
    return { kind: "push", store, bundlePath, bases: bases.map(({ digest }) => ({ digest, generation: 1 })), journalPath };
  };
  const pull = ({ digest }: Done, to: string, seeds: { digest: string; path: string }[]): Order => {
    return { kind: "pull", store, image: { digest, generation: 1 }, targetPath: at(to), seeds };
  };

  const first = await run("first push", push(1, []), packing, () => pack(bundlePath, shelf));
  await run("push again", push(2, [first]), packing, () => pack(bundlePath, shelf));
  await run("pull", pull(first, "one", []), unpacking, () => unpack(shelf, at("unpacked-1")));
  const changedBytes = await change();
  const delta = await run("delta push", push(3, [first]), packing, () => pack(bundlePath, shelf));
  const seeds = [{ digest: first.digest, path: at("one") }];
  await run("delta pull", pull(delta, "two", seeds), unpacking, () => unpack(shelf, at("unpacked-2")));
  const cached = imagePaths(at("two")).bundle;
  await run("provision", { kind: "clone", from: cached, to: at("machine") }, "cp -R", () => copy(cached, at("copied")));
  return { steps, changedBytes };
}

/** The most that any step took, of ours and of the peers'. */
function memoryRow({ name, gib, shelf }: MeasureAsk, steps: readonly Step[]): Row {
  const most = (of: (step: Step) => number) => Math.max(...steps.map(of)) / mebibyte;
  const theirs = most((step) => step.theirs.peakBytes);
  const peer = theirs === 0 ? null : { name: `tar -S | zstd -3 -T0${shelf.suffix}`, value: theirs };
  return smallerIsBetter(
    `peak memory, ${name}, ${gib} GiB`,
    most((step) => step.ours.peakBytes),
    "MiB",
    peer,
  );
}

function remarksOf(name: string, content: string, changedBytes: number, steps: readonly Step[]): string[] {
  const ofStep = (what: string) => steps.find((step) => step.what === what);
  const stored = mib(ofStep("first push")?.ours.storedBytes);
  const packed = mib(ofStep("first push")?.theirs.storedBytes);
  const [sent, fetched] = [mib(ofStep("delta push")?.ours.movedBytes), mib(ofStep("delta pull")?.ours.movedBytes)];
  return [
    `${name}: content ${content}; stored ${stored}, by tar and zstd ${packed}; of ${mib(changedBytes)} of changed clusters the delta push sent ${sent}, the delta pull fetched ${fetched}.`,
    `${name}: peak memory by step: ${steps.map(({ what, ours }) => `${what} ${mib(ours.peakBytes)}`).join(", ")}.`,
  ];
}

const mib = (bytes = 0) => `${Math.round(bytes / mebibyte)} MiB`;

/** Once with a little, so that no step pays for what the first one finds cold: a server that lays out its volumes, sources that are not compiled yet. */
async function warmUp({ root, store }: MeasureAsk): Promise<void> {
  const at = (file: string) => join(root, file);
  const { bundlePath } = await makeInput({ folder: at("small"), mebibytes: 32, path: "" });
  const { digest } = await step({ kind: "push", store, bundlePath, bases: [], journalPath: at("journal-0") }, at("compiled"));
  await step({ kind: "pull", store, image: { digest, generation: 1 }, targetPath: at("zero"), seeds: [] }, at("compiled"));
  await rm(at("small"), { recursive: true });
}

/** The compiled sources are kept for the run, as the published package is compiled ahead: else each peak would hold the compiler. */
function step(order: Order, compiled: string): Promise<Done> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NODE_COMPILE_CACHE: compiled };
    const child = fork(new URL("./step.ts", import.meta.url), [], { execArgv: [], env });
    child.once("message", (done) => resolve(done as Done));
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`The step ${order.kind} ended with code ${code}.`)));
    child.send(order);
  });
}
