/**
 * How fast the API reads, beside a bare Hono handler that answers the same bytes: one machine, and a list of five hundred.
 *
 * The one idea: both are asked in turn by the same client process over as many connections, so a busy computer slows both.
 */
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openDatabase } from "../db/connect.ts";
import { machines } from "../db/schema.ts";
import { answerOf, beside } from "./child.ts";
import type { Load, Loaded } from "./load.ts";
import { image, type BenchStack } from "./stack.ts";
import { largerIsBetter, smallerIsBetter, type Row } from "./table.ts";

export interface ReadOptions {
  readonly runs: number;
  readonly seconds: number;
  readonly say: (text: string) => void;
}

export const reads = ["get one", "list 500"] as const;
type Read = (typeof reads)[number];

/** As many as the tools have been measured with that we compare ourselves with. */
const connections = 16;
const listed = 500;
/** For the caches and compilers of both. */
const warmUpSeconds = 1;
const leastRatio: Readonly<Record<Read, number>> = { "get one": 0.25, "list 500": 0.2 };

export async function measureReads(stack: BenchStack, wanted: readonly Read[], options: ReadOptions): Promise<Row[]> {
  const open = openDatabase(stack.env["DATABASE_URL"] ?? "");
  try {
    const ids = Array.from({ length: listed }, () => randomUUID());
    await open.db.insert(machines).values(ids.map((id, index) => machineRow(id, index)));
    const paths: Readonly<Record<Read, string>> = {
      "get one": `/api/v2/machines/${ids[0]}`,
      "list 500": `/api/v2/machines?limit=${listed}`,
    };
    const rows: Row[] = [];
    for (const what of wanted) rows.push(...(await measure(stack, what, paths[what], options)));
    await open.db.delete(machines);
    return rows;
  } finally {
    await open.close();
  }
}

async function measure(stack: BenchStack, what: Read, path: string, { runs, seconds, say }: ReadOptions): Promise<Row[]> {
  const { hostname: host, port } = new URL(stack.client.url);
  const headers = await stack.client.session.headers();
  const file = join(stack.home, "answer.json");
  const answer = await fetch(`${stack.client.url}${path}`, { headers });
  await writeFile(file, await answer.text());
  const bare = await beside("./bare-server.ts", file);
  try {
    const ours: Load = { host, port: Number(port), path, headers, connections, seconds };
    const theirs: Load = { ...ours, host: "127.0.0.1", port: Number(bare.word) };
    const load = (one: Load) => answerOf<Loaded>("./load.ts", one);
    for (const one of [theirs, ours]) await load({ ...one, seconds: warmUpSeconds });
    const told: { ours: Loaded; theirs: Loaded }[] = [];
    for (let run = 1; run <= runs; run++) {
      say(`${what}, run ${run} of ${runs}`);
      const their = await load(theirs);
      told.push({ theirs: their, ours: await load(ours) });
    }
    if (told.some((one) => one.ours.bytes !== one.theirs.bytes)) throw new Error(`${what}: the two did not answer the same bytes.`);
    return rowsOf(what, told);
  } finally {
    await bare.close();
  }
}

function rowsOf(what: Read, told: readonly { ours: Loaded; theirs: Loaded }[]): Row[] {
  const ours = (of: (loaded: Loaded) => number) => median(told.map((one) => of(one.ours)));
  const peer = (of: (loaded: Loaded) => number) => ({ name: "bare Hono handler", value: median(told.map((one) => of(one.theirs))) });
  const [rate, p50, p99] = [(one: Loaded) => one.perSecond, (one: Loaded) => one.p50Ms, (one: Loaded) => one.p99Ms];
  return [
    largerIsBetter(what, ours(rate), "1/s", peer(rate), leastRatio[what]),
    smallerIsBetter(`${what}, p50`, ours(p50), "ms", peer(p50)),
    smallerIsBetter(`${what}, p99`, ours(p99), "ms", peer(p99)),
  ];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** A machine as one that was stopped; it has no host, so no loop looks for it. */
const machineRow = (id: string, index: number): typeof machines.$inferInsert => ({
  id,
  name: `bench-${String(index).padStart(4, "0")}`,
  owner: "bench",
  origin: "image",
  image: `${image.catalogId}/${image.version}/${image.architecture}`,
  digest: id.replaceAll("-", "").padEnd(64, "0"),
  kind: "pvm",
  guestOs: "ubuntu",
  desired: "stopped",
  observed: "stopped",
  vcpus: 2,
  memoryBytes: 2 * 1024 ** 3,
  diskBytes: 64 * 1024 ** 3,
  macAddress: "001C42AABBCC",
  addresses: ["10.211.55.7"],
  bundlePath: `/Users/admin/Parallels/bench-${index}.pvm`,
  description: "A machine of the benchmark of lists",
  labels: { team: "platform", purpose: "bench", number: String(index) },
});
