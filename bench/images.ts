/**
 * How fast images move, each step against the usual tool in the same run: `tar -S | zstd -3 -T0`, its inverse, and `cp -R`.
 *
 * Each step of ours is a process of its own, so its peak memory is its own too. One table; with `--json` its last line is the same as data.
 * Arguments: `--gib <n>` (1), `--store folder|s3|both` (both), `--json`.
 */
import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { S3Client } from "@aws-sdk/client-s3";
import { removeFolder } from "../images/files.ts";
import { imagePaths } from "../images/layout.ts";
import { startS3Server } from "../tests/stores/s3-server.ts";
import { changeInput, makeInput } from "./input.ts";
import { copy, fileShelf, pack, s3Shelf, unpack, type PeerRun, type Shelf } from "./peers.ts";
import type { Done, Order, StoreAt } from "./step.ts";
import { printJson, printTable, smallerIsBetter, type Row } from "./table.ts";

const mebibyte = 1024 * 1024;
const { values: options } = parseArgs({
  options: {
    gib: { type: "string", default: "1" },
    store: { type: "string", default: "both" },
    json: { type: "boolean", default: false },
  },
});
const gib = Number(options.gib);
const stores = options.store === "both" ? ["folder", "s3"] : [options.store];
if (!(gib > 0) || stores.some((store) => store !== "folder" && store !== "s3")) {
  process.stderr.write("Usage: npm run bench:images -- [--gib <n>] [--store folder|s3|both] [--json]\n");
  process.exit(2);
}

const rows: Row[] = [];
const remarks: string[] = [];
for (const store of stores) {
  const root = await mkdtemp(join(tmpdir(), "drover-bench-"));
  try {
    await (store === "s3" ? measureOnS3(root) : measureInFolder(root));
  } finally {
    await removeFolder(root);
  }
}
remarks.push(`${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}.`);
printTable(rows, remarks);
if (options.json) printJson(rows);

function measureInFolder(root: string): Promise<void> {
  const store: StoreAt = { location: { kind: "folder", path: join(root, "store") }, credentials: null };
  return measure("folder", root, store, fileShelf(join(root, "peer.tar.zst")));
}

async function measureOnS3(root: string): Promise<void> {
  const server = await startS3Server();
  try {
    const { endpoint, accessKey: accessKeyId, secretKey: secretAccessKey } = server;
    const bucket = await server.makeBucket();
    const credentials = { accessKeyId, secretAccessKey };
    const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
    const location = { kind: "s3", bucket, prefix: "ours/", region: "us-east-1", endpoint } as const;
    await measure("s3", root, { location, credentials }, s3Shelf(client, bucket));
    client.destroy();
  } finally {
    await server.stop();
  }
}

async function measure(name: string, root: string, store: StoreAt, shelf: Shelf): Promise<void> {
  const at = (...names: string[]) => join(root, ...names);
  const path = process.env["PATH"] ?? "";
  say(`${name}: making a bundle of ${gib} GiB`);
  const input = await makeInput({ folder: at("input"), mebibytes: Math.round(gib * 1024), path });
  await warmUp(at, store);
  const bundlePath = input.bundlePath;
  const ours: (Done & { readonly what: string })[] = [];
  const theirs: PeerRun[] = [];
  const row = async (what: string, order: Order, peerName: string, peer: () => Promise<PeerRun>): Promise<Done> => {
    say(`${name}: ${what}`);
    const done = await step(order, at("compiled"));
    const run = await peer();
    ours.push({ ...done, what });
    theirs.push(run);
    rows.push(smallerIsBetter(label(what, name), done.seconds, "s", { name: peerName, value: run.seconds }));
    return done;
  };
  const packName = `tar -S | zstd -3 -T0${shelf.suffix}`;
  const unpackName = `${shelf.suffix && "S3 | "}zstd -d | tar -xS`;
  const push = (turn: number, bases: readonly Done[]): Order => ({
    kind: "push",
    store,
    bundlePath,
    bases: bases.map(({ digest }) => ({ digest, generation: 1 })),
    journalPath: at(`journal-${turn}`),
  });
  const pull = ({ digest }: Done, to: string, seeds: { digest: string; path: string }[]): Order => ({
    kind: "pull",
    store,
    image: { digest, generation: 1 },
    targetPath: at(to),
    seeds,
  });

  const first = await row("first push", push(1, []), packName, () => pack(bundlePath, shelf));
  const packedBytes = theirs.at(-1)?.storedBytes ?? 0;
  await row("push again", push(2, [first]), packName, () => pack(bundlePath, shelf));
  await row("pull", pull(first, "one", []), unpackName, () => unpack(shelf, at("unpacked-1")));
  const changedBytes = await changeInput(input, path);
  const delta = await row("delta push", push(3, [first]), packName, () => pack(bundlePath, shelf));
  const seeds = [{ digest: first.digest, path: at("one") }];
  const deltaPull = await row("delta pull", pull(delta, "two", seeds), unpackName, () => unpack(shelf, at("unpacked-2")));
  const cached = imagePaths(at("two")).bundle;
  await row("provision", { kind: "clone", from: cached, to: at("machine") }, "cp -R", () => copy(cached, at("copied")));

  const peak = Math.max(...ours.map(({ peakBytes }) => peakBytes));
  const peerPeak = Math.max(...theirs.map(({ peakBytes }) => peakBytes));
  const peer = peerPeak === 0 ? null : { name: packName, value: peerPeak / mebibyte };
  rows.push(smallerIsBetter(label("peak memory", name), peak / mebibyte, "MiB", peer));
  remarks.push(
    `${name}: content ${input.content}; stored ${mib(first.storedBytes)}, by tar and zstd ${mib(packedBytes)}; of ${mib(changedBytes)} of changed clusters ` +
      `the delta push sent ${mib(delta.movedBytes)}, the delta pull fetched ${mib(deltaPull.movedBytes)}.`,
    `${name}: peak memory by step: ${ours.map(({ what, peakBytes }) => `${what} ${mib(peakBytes)}`).join(", ")}.`,
  );
}

function label(what: string, store: string): string {
  return `${what}, ${store}, ${gib} GiB`;
}

function mib(bytes: number): string {
  return `${Math.round(bytes / mebibyte)} MiB`;
}

function say(text: string): void {
  process.stderr.write(`${text} ...\n`);
}

/** Once with a little, so that no step pays for what the first one finds cold: a server that lays out its volumes, sources that are not compiled yet. */
async function warmUp(at: (...names: string[]) => string, store: StoreAt): Promise<void> {
  const small = await makeInput({ folder: at("small"), mebibytes: 32, path: "" });
  const order: Order = { kind: "push", store, bundlePath: small.bundlePath, bases: [], journalPath: at("journal-0") };
  const { digest } = await step(order, at("compiled"));
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
