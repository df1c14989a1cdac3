/**
 * An API process that is asked for more than it can do says so and keeps its head: most are told to come again, nobody hangs, and health is answered at once.
 *
 * The one idea: the overload is real, made by clients in processes of their own that ask for long lists without pause.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openDatabase } from "../../db/connect.ts";
import { openStack, type TestStack } from "../e2e/stack.ts";

let stack: TestStack;
let base: string;
let authorization: Record<string, string>;
beforeAll(async () => {
  // Few may be under way, so that a small computer's clients are more than enough.
  stack = await openStack({ DROVER_HOSTS: "0", DROVER_REQUESTS: "40", DROVER_REQUESTS_CALLER: "100000" });
  base = stack.client.url;
  authorization = await stack.client.session.headers();
  const open = openDatabase(stack.env["DATABASE_URL"] ?? "");
  await open.sql`
    insert into machines (id, project, name, owner, origin, kind, desired, observed, vcpus, memory_bytes, disk_bytes)
    select gen_random_uuid(), 'default', 'many-' || n, 'root', 'image', 'pvm', 'stopped', 'stopped', 1, 1024, 1024 from generate_series(1, 10000) n`;
  await open.close();
}, 180_000);
afterAll(() => stack?.close(), 60_000);

/** A client with so many connections, each of which asks again as soon as it was answered. It writes the statuses that it saw. */
const client = `
const [url, authorization, connections, seconds] = process.argv.slice(1);
const end = Date.now() + Number(seconds) * 1000;
const seen = {};
let longest = 0;
let unready = 0;
await Promise.all(Array.from({ length: Number(connections) }, async () => {
  while (Date.now() < end) {
    const began = Date.now();
    const answer = await fetch(url, { headers: { authorization } });
    if (answer.status === 503 && answer.headers.get("retry-after") === null) unready++;
    await answer.arrayBuffer();
    seen[answer.status] = (seen[answer.status] ?? 0) + 1;
    longest = Math.max(longest, Date.now() - began);
    if (answer.status === 503) await new Promise((resolve) => setTimeout(resolve, 20));
  }
}));
process.stdout.write(JSON.stringify({ seen, longest, unready }));`;

interface Seen {
  readonly seen: Record<string, number>;
  readonly longest: number;
  readonly unready: number;
}

async function crowd(path: string, connections: number, seconds: number): Promise<Seen> {
  const words = [
    "--input-type=module",
    "-e",
    client,
    `${base}${path}`,
    authorization["authorization"] ?? authorization["Authorization"] ?? "",
    String(connections),
    String(seconds),
  ];
  const child: ChildProcess = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
  let told = "";
  child.stdout?.on("data", (part: Buffer) => (told += part.toString()));
  await once(child, "close");
  return JSON.parse(told) as Seen;
}

it("refuses with 503 and a time to come again, answers the others, and tells its health meanwhile", async () => {
  const seconds = 8;
  const crowds = Promise.all([crowd("/api/v1/machines", 40, seconds), crowd("/api/v2/machines?limit=500", 60, seconds)]);
  const health: number[] = [];
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    const began = performance.now();
    const answer = await fetch(`${base}/healthz`);
    expect(answer.status).toBe(200);
    health.push(performance.now() - began);
  }
  const told = await crowds;
  process.stderr.write(
    `overload: ${JSON.stringify(told)}, health ${health.length} times, median ${health.toSorted((a, b) => a - b)[health.length >> 1]?.toFixed(1)} ms, longest ${Math.max(...health).toFixed(0)} ms\n`,
  );
  const statuses = new Set(told.flatMap(({ seen }) => Object.keys(seen)));
  expect([...statuses].toSorted()).toEqual(["200", "503"]);
  for (const one of told) expect(one.unready).toBe(0);
  expect(health.toSorted((a, b) => a - b)[health.length >> 1]).toBeLessThan(100);
  // A small computer that does other things besides gives nobody a turn for a second now and then.
  expect(Math.max(...health)).toBeLessThan(10_000);
  for (const one of told) expect(one.longest).toBeLessThan(60_000);

  // Once the crowd has gone, everything is as before.
  const after = await fetch(`${base}/api/v2/machines?limit=5`, { headers: authorization });
  expect(after.status).toBe(200);
  expect(await (await fetch(`${base}/metrics`)).text()).toMatch(/drover_api_refused_total\{reason="\w+"\} [1-9]/);
});
