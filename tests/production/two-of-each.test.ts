/**
 * Two of each process, as production runs them: whichever of the two a request meets, it is the same hub; and when one of each is killed in the middle of
 * everything, all that was asked for ends right.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { logIn } from "../../cli/access/log-in.ts";
import { type Client, pathOf } from "../../cli/client.ts";
import { follow } from "../../cli/operations/follow.ts";
import { Host, ImageVersion, Operation, OperationDetail, Provisioning } from "../../cli/wire.ts";
import { makeSampleBundle, type Sample } from "../../parallels/sample/make.ts";
import { expectEqualDisks } from "../e2e/disks.ts";
import type { Container } from "./containers.ts";
import { openProduction, type Production } from "./stack.ts";

const mebibyte = 1024 ** 2;
let production: Production;
let a: Client;
let b: Client;
let sql: postgres.Sql;
let base: Sample;

beforeAll(async () => {
  production = await openProduction();
  [a, b] = await Promise.all([production.clientOf(production.apis[0]), production.clientOf(production.apis[1])]);
  sql = postgres(production.databaseUrl, { max: 2, onnotice: () => {} });
  const { facts } = await a.get(pathOf("hosts", "mac-1"), Host);
  base = await sample(facts?.machineFolder ?? "", "base", 24);
  await production.drover("push", base.bundlePath, "base", "--version", "1", "--host", "mac-1", "--json");
}, 300_000);
afterAll(async () => {
  await sql?.end({ timeout: 2 });
  await production?.close();
}, 180_000);

const sample = (folder: string, name: string, mebibytes: number): Promise<Sample> =>
  makeSampleBundle({ folder, name, bytes: 64 * mebibyte, contentBytes: mebibytes * mebibyte, path: "", content: "pattern" });

const urlOf = ({ address }: Container) => `http://${address}:3080`;
const pull = (client: Client, host: string, image: object) =>
  client.send("POST", `${pathOf("hosts", host)}/images`, Operation, { body: image });
const done = async (client: Client, id: string): Promise<OperationDetail> => {
  let last: OperationDetail | null = null;
  for await (const detail of follow(client, id, AbortSignal.timeout(90_000))) last = detail;
  if (last?.state !== "done") throw new Error(`operation ${id} is not done: ${JSON.stringify(last)}`);
  return last;
};

describe("one API of two", () => {
  it("takes the login of the other, and names the same keys", async () => {
    const password = (await readFile(join(production.home, "secrets/root-password"), "utf8")).trim();
    const { token } = await logIn(urlOf(production.apis[0]), { username: "root", password });
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${urlOf(production.apis[1])}/api/v2/hosts`, { headers })).status).toBe(200);
    const [one, other] = await Promise.all(production.apis.map(async (api) => (await fetch(`${urlOf(api)}/api/v2/keys`)).text()));
    expect(one).toBe(other);
  });

  it("shows an operation of the other from its first step to its end, by events and by waiting", async () => {
    const { id } = await pull(a, "mac-2", { catalogId: "base", version: "1" });
    const waited = b.get(`${pathOf("operations", id)}/wait`, OperationDetail, { query: { timeout: 60 } });
    const states: string[] = [];
    for await (const { state } of follow(b, id, AbortSignal.timeout(60_000))) states.push(state);
    expect(states.at(-1)).toBe("done");
    expect((await waited).state).toBe("done");
  }, 70_000);

  it("answers a repeated request with the operation that the other began, and another request under that key not at all", async () => {
    const [key, path] = [crypto.randomUUID(), `/api/v2${pathOf("hosts", "mac-2")}/images`];
    const ask = async (client: Client, body: object) =>
      fetch(`${client.url}${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": key, ...(await client.session.headers()) },
        body: JSON.stringify(body),
      });
    const body = { catalogId: "base", version: "1" };
    const answers = await Promise.all([a, b, a, b].map((client) => ask(client, body)));
    const ids = await Promise.all(answers.map(async (answer) => Operation.parse(await answer.json()).id));
    expect(new Set(ids).size).toBe(1);
    expect((await ask(b, { ...body, version: "2" })).status).toBe(409);
    await done(a, ids[0] ?? "");
  }, 70_000);

  it("counts wrong passwords together with the other: whoever asks both may guess no more often", async () => {
    const wrong = { username: "root", password: "not the right one" };
    const guess = async (client: Client) => {
      const request = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(wrong) };
      return (await fetch(`${client.url}/api/v2/login`, request)).status;
    };
    const statuses: number[] = [];
    for (let round = 0; round < 8; round++) for (const client of [a, b]) statuses.push(await guess(client));
    expect(statuses).toEqual([...Array.from({ length: 5 }, () => 401), ...Array.from({ length: 11 }, () => 429)]);
  }, 180_000);
});

describe("one of each, killed in the middle of everything", () => {
  it("costs nothing that was asked for: each operation ends right, and nothing is left behind", async () => {
    const { id: hostId, facts } = await a.get(pathOf("hosts", "mac-1"), Host);
    const big = await sample(facts?.machineFolder ?? "", "big", 48);
    const image = { catalogId: "base", version: "1" };
    const machine = (name: string) => ({ name, image, vcpus: 1, memoryBytes: 512 * mebibyte });
    const push = await a.send("POST", "/images", Operation, {
      body: { hostId, path: big.bundlePath, catalogId: "big", version: "1" },
    });
    const provisions = await Promise.all(
      ["one", "two"].map((name, index) => (index === 0 ? a : b).send("POST", "/machines", Provisioning, { body: machine(name) })),
    );
    await running(push.id);

    const leader = await leading();
    const victims = [production.apis[0], production.gateways[0], leader];
    const pids = victims.map(({ pid }) => pid());
    for (const pid of pids) process.kill(pid ?? 0, "SIGKILL");
    const killedAt = performance.now();
    const later = await pull(b, "mac-2", image);
    await nextLeader(leader, pids[2] ?? null);
    const leaderlessMs = performance.now() - killedAt;
    process.stderr.write(`another hub worker led ${(leaderlessMs / 1000).toFixed(1)} s after the leader was killed\n`);
    expect(leaderlessMs).toBeLessThan(20_000);

    const ids = [push.id, later.id, ...provisions.map(({ operation }) => operation.id)];
    for (const id of ids) await done(b, id);
    const [stored] = await b.list("/images", ImageVersion, { catalogId: "big" });
    const pulled = await pull(b, "mac-2", { catalogId: "big", version: "1" });
    await done(b, pulled.id);
    await expectEqualDisks(big.bundlePath, join(production.home, "hosts/mac-2/cache", stored?.digest ?? "", "bundle"));
    for (const name of ["one", "two"]) await production.drover("machine", "delete", name);
    await nothingLeft();
  }, 240_000);

  it("comes back, and hosts are reached through both gateways and neither was lost", async () => {
    await until(async () => (await Promise.all(production.apis.map(isReady))).every(Boolean));
    for (const name of ["mac-1", "mac-2"]) expect((await a.get(pathOf("hosts", name), Host)).state).toBe("online");
    for (const { address } of production.gateways) expect(production.balancers.gateway.taken.get(address)).toBeGreaterThan(0);
  }, 180_000);

  it("leaves the record of events without a gap and without a number twice", async () => {
    await until(async () => (await sql`select 1 from events where number is null`).length === 0);
    const [row] =
      await sql`select count(*)::int as count, count(distinct number)::int as numbers, max(number)::int as newest, min(number)::int as oldest from events`;
    expect(row?.["numbers"]).toBe(row?.["count"]);
    expect(Number(row?.["newest"]) - Number(row?.["oldest"]) + 1).toBe(row?.["count"]);
  });
});

const isReady = (api: Container): Promise<boolean> =>
  fetch(`${urlOf(api)}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );

async function until(condition: () => Promise<boolean>, withinMs = 30_000): Promise<void> {
  for (const end = Date.now() + withinMs; !(await condition()); await delay(100))
    if (Date.now() > end) throw new Error(`in vain for ${withinMs} ms: ${condition.toString()}`);
}

/** The transfer moves bytes. */
const running = (id: string) =>
  until(async () => {
    const { steps } = await a.get(pathOf("operations", id), OperationDetail);
    return steps.some(({ state, progress }) => state === "running" && progress !== undefined && progress !== null);
  });

const leads = async ({ address }: Container): Promise<boolean> => {
  const text = await fetch(`http://${address}:3081/metrics`).then(
    (answer) => answer.text(),
    () => "",
  );
  return /^drover_hub_leads 1$/m.test(text);
};

/** The hub worker that leads the loops: never more than one. */
async function leading(): Promise<Container> {
  const all = await Promise.all(production.hubs.map(async (hub) => ((await leads(hub)) ? [hub] : [])));
  const [leader, ...more] = all.flat();
  expect(more).toEqual([]);
  if (leader === undefined) throw new Error("Nobody leads.");
  return leader;
}

/** Another leads, or the same container with a new process. */
async function nextLeader(old: Container, oldPid: number | null): Promise<void> {
  await until(async () => {
    for (const hub of production.hubs) if ((hub !== old || hub.pid() !== oldPid) && (await leads(hub))) return true;
    return false;
  });
}

async function nothingLeft(): Promise<void> {
  await until(async () => (await sql`select 1 from operations where ended_at is null`).length === 0);
  for (const table of ["holds", "intents", "placements"]) expect(await sql`select * from ${sql(table)}`).toEqual([]);
}
