/**
 * How fast images move, each step against the usual tool in the same run: `tar -S | zstd -3 -T0`, its inverse, and `cp -R`.
 *
 * Each step of ours is a process of its own, so its peak memory is its own too. One table; with `--json` its last line is the same as data.
 * Arguments: `--gib <n>` (1), `--store folder|s3|both` (both), `--json`.
 */
import { mkdtemp } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { S3Client } from "@aws-sdk/client-s3";
import { removeFolder } from "../images/files.ts";
import { startS3Server } from "../tests/stores/s3-server.ts";
import { measureStore, type Measured } from "./measure.ts";
import { fileShelf, s3Shelf } from "./peers.ts";
import { printJson, printTable } from "./table.ts";

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

const measured: Measured[] = [];
for (const store of stores) {
  const root = await mkdtemp(join(tmpdir(), "drover-bench-"));
  try {
    measured.push(await (store === "s3" ? measureOnS3(root) : measureInFolder(root)));
  } finally {
    await removeFolder(root);
  }
}
const rows = measured.flatMap((store) => store.rows);
const machine = `${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}.`;
printTable(rows, [...measured.flatMap((store) => store.remarks), machine]);
if (options.json) printJson(rows);

/** What both stores have in common. */
function world(root: string) {
  return { root, gib, path: process.env["PATH"] ?? "", say: (text: string) => void process.stderr.write(`${text} ...\n`) };
}

function measureInFolder(root: string): Promise<Measured> {
  const store = { location: { kind: "folder" as const, path: join(root, "store") }, credentials: null };
  return measureStore({ ...world(root), name: "folder", store, shelf: fileShelf(join(root, "peer.tar.zst")) });
}

async function measureOnS3(root: string): Promise<Measured> {
  const server = await startS3Server();
  const { endpoint, accessKey: accessKeyId, secretKey: secretAccessKey } = server;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials });
  try {
    const bucket = await server.makeBucket();
    const location = { kind: "s3", bucket, prefix: "ours/", region: "us-east-1", endpoint } as const;
    return await measureStore({ ...world(root), name: "s3", store: { location, credentials }, shelf: s3Shelf(client, bucket) });
  } finally {
    client.destroy();
    await server.stop();
  }
}
