/**
 * The hub on Temporal with PostgreSQL, as the compose file describes it, built from the same releases: the main job, the server killed with -9 in the
 * middle of it, and how long steps take there and on the development server.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { Connection } from "@temporalio/client";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, pathOf } from "../../cli/client.ts";
import { Host, ImageVersion, Machine, Operation, OperationDetail } from "../../cli/wire.ts";
import { setupNamespace } from "../../deploy/temporal-setup.ts";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { expectEqualDisks } from "../e2e/disks.ts";
import { openProduction, type Production } from "../production/stack.ts";
import { startTemporalOnPostgres, type TemporalOnPostgres } from "../production/temporal-server.ts";

const mebibyte = 1024 ** 2;
const rounds = 40;
const say = (line: string) => void process.stderr.write(`${line}\n`);

describe("Temporal on PostgreSQL", () => {
  let production: Production;
  let temporal: TemporalOnPostgres;
  beforeAll(async () => {
    production = await openProduction({ servers: async (home, ends) => (temporal = await startTemporalOnPostgres(home, ends)) });
    say(`Temporal ${temporal.version} on PostgreSQL, 16 shards`);
  }, 45 * 60_000);
  afterAll(() => production?.close(), 60_000);

  it("has its schema by the compose file's script, which changes nothing the second time, and knows every key of the dynamic configuration", async () => {
    expect(temporal.secondSchemaRun).not.toMatch(/error|fail/i);
    expect(temporal.configRemarks).not.toMatch(/error|warning/);
  });

  it("has a namespace that needs nothing more, and no user of one database reads the other", async () => {
    const connection = await Connection.connect({ address: temporal.temporalAddress });
    expect(await setupNamespace(connection, "drover")).toEqual([]);
    await connection.close();
    const other = new URL(production.databaseUrl);
    other.pathname = "/temporal";
    const sql = postgres(other.href, { max: 1, onnotice: () => {} });
    await expect(sql`select 1`).rejects.toThrow(/permission denied for database/);
    await sql.end();
  });

  it("does the main job, bit by bit right", async () => {
    const { facts } = await production.client.get(pathOf("hosts", "mac-1"), Host);
    const made = { folder: facts?.machineFolder ?? "", name: "base", bytes: 128 * mebibyte, contentBytes: 40 * mebibyte, path: "" };
    const sample = await makeSampleBundle({ ...made, content: "pattern" });
    await timed("push 40 MiB", () => production.drover("push", sample.bundlePath, "base", "--version", "1", "--host", "mac-1"));
    await timed("pull 40 MiB", () => production.drover("pull", "base:1", "--host", "mac-2"));
    await timed("provision from the cache", () =>
      production.drover("machine", "create", "ci-1", "--image", "base:1", "--cpus", "1", "--memory", "512M"),
    );
    const machine = await production.client.get(pathOf("machines", "ci-1"), Machine);
    await expectEqualDisks(sample.bundlePath, machine.bundlePath ?? "");
    expect(await timed("execute", () => production.drover("machine", "exec", "ci-1", "--", "echo there"))).toBe("there\n");
    await timed("retire", () => production.drover("machine", "delete", "ci-1"));
    expect(await production.client.list("/machines", Machine)).toEqual([]);
  }, 600_000);

  it("goes on where it was when its server is killed with -9 in the middle of a push, a pull and a provisioning", async () => {
    const { client } = production;
    const { id: hostId, facts } = await client.get(pathOf("hosts", "mac-1"), Host);
    const made = { folder: facts?.machineFolder ?? "", name: "big", bytes: 256 * mebibyte, contentBytes: 160 * mebibyte, path: "" };
    const big = await makeSampleBundle({ ...made, content: "pattern" });
    const push = await client.send("POST", "/images", Operation, {
      body: { hostId, path: big.bundlePath, catalogId: "big", version: "1" },
    });
    const provision = production.drover("machine", "create", "ci-2", "--image", "base:1", "--cpus", "1", "--memory", "512M");
    await until(async () => (await detailOf(client, push.id)).steps.some(({ progress }) => (progress?.doneBytes ?? 0) > 0));
    process.kill(temporal.server.pid() ?? 0, "SIGKILL");
    const killedAt = performance.now();
    const pull = client.send("POST", `${pathOf("hosts", "mac-2")}/images`, Operation, { body: { catalogId: "base", version: "1" } });
    await Promise.all([settled(client, push.id), pull.then(({ id }) => settled(client, id)), provision]);
    say(`all done ${seconds(performance.now() - killedAt)} after the kill of the Temporal server`);
    const [version] = await client.list("/images", ImageVersion, { catalogId: "big" });
    await production.drover("pull", "big:1", "--host", "mac-2");
    await expectEqualDisks(big.bundlePath, join(production.home, "hosts/mac-2/cache", version?.digest ?? "", "bundle"));
    await production.drover("machine", "delete", "ci-2");
    const sql = postgres(production.databaseUrl, { max: 1, onnotice: () => {} });
    for (const table of ["holds", "intents", "placements"]) expect(await sql`select * from ${sql(table)}`).toEqual([]);
    await sql.end();
  }, 600_000);

  it("takes an operation about as fast as the development server does", async () => {
    const onPostgres = await latencies(production.client);
    say(`the server takes ${await residentMib(temporal.server.pid())} MiB of memory`);
    const other = await openProduction();
    try {
      const { facts } = await other.client.get(pathOf("hosts", "mac-1"), Host);
      const made = { folder: facts?.machineFolder ?? "", name: "base", bytes: 32 * mebibyte, contentBytes: 4 * mebibyte, path: "" };
      const { bundlePath } = await makeSampleBundle({ ...made, content: "pattern" });
      await other.drover("push", bundlePath, "base", "--version", "1", "--host", "mac-1");
      await other.drover("pull", "base:1", "--host", "mac-2");
      const onDevelopment = await latencies(other.client);
      for (const [name, { accepted, done }] of Object.entries({ onPostgres, onDevelopment }))
        say(
          `${name}: accepted p50 ${accepted[0]} p95 ${accepted[1]} ms, done p50 ${done[0]} p95 ${done[1]} ms (${rounds} pulls of a cached image)`,
        );
      expect(onPostgres.done[0]).toBeLessThan(onDevelopment.done[0] * 4 + 200);
    } finally {
      await other.close();
    }
  }, 600_000);
});

const detailOf = (client: Client, id: string) => client.get(pathOf("operations", id), OperationDetail);

async function settled(client: Client, id: string): Promise<void> {
  await until(
    async () => (await client.get(`${pathOf("operations", id)}/wait`, OperationDetail, { query: { timeout: 30 } })).endedAt !== null,
    300_000,
  );
  expect(await detailOf(client, id)).toMatchObject({ state: "done" });
}

async function until(condition: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
  for (const end = Date.now() + withinMs; !(await condition()); await new Promise((resolve) => setTimeout(resolve, 20)))
    if (Date.now() > end) throw new Error(`in vain for ${withinMs} ms: ${condition.toString()}`);
}

/** What a process has in memory, as Linux tells. */
async function residentMib(pid: number | null): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

async function timed<T>(what: string, act: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const outcome = await act();
  say(`${what}: ${seconds(performance.now() - began)}`);
  return outcome;
}

/** One after another, a pull of what the host has: a workflow of a few steps, of which one runs on the host. */
async function latencies(client: Client): Promise<{ accepted: [number, number]; done: [number, number] }> {
  const [accepted, done]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const { id } = await client.send("POST", `${pathOf("hosts", "mac-2")}/images`, Operation, {
      body: { catalogId: "base", version: "1" },
    });
    accepted.push(performance.now() - began);
    await client.get(`${pathOf("operations", id)}/wait`, OperationDetail, { query: { timeout: 30 } });
    done.push(performance.now() - began);
  }
  return { accepted: percentiles(accepted), done: percentiles(done) };
}

function percentiles(values: readonly number[]): [number, number] {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (part: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
  return [at(0.5), at(0.95)];
}
