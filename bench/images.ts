/**
 * How fast images move, each step against the usual tool in the same run: `tar -S | zstd -3 -T0`, its inverse, and `cp --sparse=always`.
 *
 * Each step of ours is a process of its own, so its peak memory is its own too. One table; with `--json` its last line is the same as data.
 * Arguments: `--gib <n>` (1), `--store folder|s3|clone|both|all` (both), `--runs <n>` (1), `--json`.
 */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { removeFolder } from "../images/files.ts";
import { largeImageRow } from "./large-image.ts";
import { measureClones, measureFolder, measureS3, type Told } from "./places.ts";
import { onWhat, printJson, printTable } from "./table.ts";

const { values: options } = parseArgs({
  options: {
    gib: { type: "string", default: "1" },
    store: { type: "string", default: "both" },
    runs: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  },
});
const gib = Number(options.gib);
const runs = Number(options.runs);
const places = { folder: ["folder"], s3: ["s3"], clone: ["clone"], both: ["folder", "s3"], all: ["folder", "clone", "s3"] }[options.store];
if (!(gib > 0) || !Number.isInteger(runs) || runs < 1 || !places) {
  process.stderr.write("Usage: npm run bench:images -- [--gib <n>] [--store folder|s3|clone|both|all] [--runs <n>] [--json]\n");
  process.exit(2);
}

const measure = { folder: measureFolder, s3: measureS3, clone: measureClones };
const told: Told[] = [];
for (const place of places) {
  const root = await mkdtemp(join(tmpdir(), "drover-bench-"));
  const say = (text: string) => void process.stderr.write(`${place}: ${text} ...\n`);
  try {
    const path = process.env["PATH"] ?? "";
    told.push(await measure[place as keyof typeof measure]({ root, gib, runs, path, say, earlier: told }));
  } finally {
    await removeFolder(root);
  }
}
const rows = [...told.flatMap((one) => one.rows), await largeImageRow()];
printTable(rows, [...told.flatMap((one) => one.remarks), onWhat()]);
if (options.json) printJson(rows);
