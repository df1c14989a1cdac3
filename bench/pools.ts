/**
 * How soon a caller has a machine that waits: leases over HTTP of a pool in which so many wait, one after another and ten at once.
 *
 * One table; with `--json` its last line is the same as data.
 * Arguments: `--leases <n>` (100 machines that wait, on one simulated host), `--json`.
 */
import "../deploy/lifeline.ts";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Host, Lease as LeaseAnswer, Operation, Pool, PoolDetail } from "../cli/wire.ts";
import type { Lease } from "../domain/pools/schema.ts";
import { openBenchStack, image, type BenchStack } from "./stack.ts";
import { onWhat, printJson, printTable, smallerIsBetter, type Row } from "./table.ts";

const { values: options } = parseArgs({
  options: {
    leases: { type: "string", default: "100" },
    json: { type: "boolean", default: false },
  },
});
const leases = Number(options.leases);
if (!Number.isInteger(leases) || leases < 10) {
  process.stderr.write("Usage: npx node bench/pools.ts [--leases <n>] [--json]; ten leases at least\n");
  process.exit(2);
}

const say = (text: string) => void process.stderr.write(`${text} ...\n`);
say("the embedded stack starts");
const stack = await openBenchStack();
const rows = await measure(stack).finally(() => stack.close());
printTable(rows, [onWhat()]);
if (options.json) printJson(rows);
process.exit(0);

async function measure({ client }: BenchStack): Promise<Row[]> {
  const rooms = { overcommitCpu: 16, overcommitMemory: 16 };
  for (const { id } of await client.list("/hosts", Host)) await client.send("PATCH", `/hosts/${id}`, Host, { body: rooms });
  const body = { name: "bench", image, vcpus: 1, memoryBytes: 512 * 1024 ** 2, minimumIdle: leases, maximum: leases };
  say(`a pool fills with ${leases} machines`);
  await client.send("POST", "/pools", Pool, { body });
  await full();
  // No room is left beside them, so none is made meanwhile.
  say(`${leases} leases, one after another`);
  const given: Lease[] = [];
  const alone = await timed(leases, 1, async () => void given.push(await lease()));
  for (const { id } of given) await client.send("DELETE", `/pools/bench/leases/${id}`, Operation);
  await full();
  say(`${leases} leases, ten at once`);
  const many = await timed(leases, 10, async () => void (await lease()));
  const row = (what: string, share: number, times: number[], below?: number) =>
    smallerIsBetter(what, percentile(times, share), "ms", null, below === undefined ? null : { below });
  return [
    row("lease, one after another, p50", 0.5, alone, 100),
    row("lease, one after another, p99", 0.99, alone),
    row("lease, ten at once, p50", 0.5, many, 100),
    row("lease, ten at once, p99", 0.99, many),
  ];

  async function full(): Promise<void> {
    while ((await client.get("/pools/bench", PoolDetail)).idle < leases) await delay(500);
  }
  async function lease(): Promise<Lease> {
    return client.send("POST", "/pools/bench/lease", LeaseAnswer, { body: {} });
  }
}

/** How long each call takes, so many calls by so many callers. */
async function timed(calls: number, callers: number, call: () => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  const one = async () => {
    for (let left = Math.ceil(calls / callers); left > 0; left--) {
      const begin = performance.now();
      await call();
      times.push(performance.now() - begin);
    }
  };
  await Promise.all(Array.from({ length: callers }, one));
  return times;
}

function percentile(times: readonly number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
