/**
 * How soon a caller has a machine that waits: leases of one pool over HTTP, one after another and ten at once, each of a pool that refills meanwhile.
 *
 * One table; with `--json` its last line is the same as data.
 * Arguments: `--leases <n>` (100), `--idle <n>` (40 machines that wait, of 512 MiB each on one simulated host), `--json`.
 */
import "../deploy/lifeline.ts";
import { cpus, loadavg, totalmem } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { FaultError } from "../domain/errors.ts";
import { Host, Lease, Operation, Pool, PoolDetail } from "../cli/wire.ts";
import { openBenchStack, image, type BenchStack } from "./stack.ts";
import { printJson, printTable, smallerIsBetter, type Row } from "./table.ts";

const { values: options } = parseArgs({
  options: {
    leases: { type: "string", default: "100" },
    idle: { type: "string", default: "40" },
    json: { type: "boolean", default: false },
  },
});
const [leases, idle] = [Number(options.leases), Number(options.idle)];
if (![leases, idle].every((count) => Number.isInteger(count) && count > 0)) {
  process.stderr.write("Usage: node bench/pools.ts [--leases <n>] [--idle <n>] [--json]\n");
  process.exit(2);
}

const say = (text: string) => void process.stderr.write(`${text} ...\n`);
say("the embedded stack starts");
const stack = await openBenchStack();
const rows = await measure(stack).finally(() => stack.close());
const remarks = [
  `${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}; load ${loadavg()[1]?.toFixed(1)}.`,
];
printTable(rows, remarks);
if (options.json) printJson(rows);
process.exit(0);

async function measure({ client }: BenchStack): Promise<Row[]> {
  const rooms = { overcommitCpu: 16, overcommitMemory: 16 };
  for (const { id } of await client.list("/hosts", Host)) await client.send("PATCH", `/hosts/${id}`, Host, { body: rooms });
  const sizes = { vcpus: 1, memoryBytes: 512 * 1024 ** 2 };
  // Half of them are leased at most, so that it need not wait for those that were given back.
  const body = { name: "bench", image, minimumIdle: idle, maximum: 2 * idle, ...sizes };
  say(`a pool fills with ${idle} machines`);
  await client.send("POST", "/pools", Pool, { body });
  await full();
  const [alone, many]: [number[], number[]] = [[], []];
  say(`${leases} leases, one after another`);
  for (let left = leases; left > 0; left--) alone.push(await leaseOnce());
  await full();
  say(`${leases} leases, ten at once`);
  const one = async () => {
    for (let left = leases / 10; left > 0; left--) many.push(await leaseOnce());
  };
  await Promise.all(Array.from({ length: 10 }, one));
  const row = (what: string, times: number[], share: number, below?: number) =>
    smallerIsBetter(what, percentile(times, share), "ms", null, below === undefined ? null : { below });
  return [
    row("lease, one after another, p50", alone, 0.5, 100),
    row("lease, one after another, p99", alone, 0.99),
    row("lease, ten at once, p50", many, 0.5, 100),
    row("lease, ten at once, p99", many, 0.99),
  ];

  async function full(): Promise<void> {
    while ((await client.get("/pools/bench", PoolDetail)).idle < idle) await delay(500);
  }
  /** What the caller waited for once one was idle; given back at once, which is not measured. */
  async function leaseOnce(): Promise<number> {
    for (;;) {
      const begin = performance.now();
      try {
        const { id } = await client.send("POST", "/pools/bench/lease", Lease, { body: {} });
        const ms = performance.now() - begin;
        await client.send("DELETE", `/pools/bench/leases/${id}`, Operation);
        return ms;
      } catch (error) {
        if (!(error instanceof FaultError) || error.fault.code !== "pool_empty") throw error;
        await delay(500);
      }
    }
  }
}

function percentile(times: readonly number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
