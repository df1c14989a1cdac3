/** Guarantees of the embedded PostgreSQL: data outlives kills, orphans are waited for, nobody else gets in. */
import { spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import postgres from "postgres";
import { afterEach, beforeEach, expect, it } from "vitest";
import { startPostgres } from "../../deploy/embedded/postgres.ts";
import { outsideOf, postgresPlace } from "../../deploy/embedded/postgres-place.ts";
import { freePort, portAnswers } from "../../deploy/ports.ts";
import { commandLine } from "../../deploy/processes.ts";
import { until } from "./processes.ts";

let home: string;
const open: Array<() => Promise<unknown>> = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "drover-postgres-"));
  await chmod(home, 0o711);
});
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
  for (const folder of [await outsideOf(home), home]) if (folder !== null) await rm(folder, { recursive: true, force: true });
});

async function begin({ durable = false } = {}) {
  const running = await startPostgres({ home, durable });
  open.push(running.stop);
  return running;
}

function connect(url: string) {
  const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => {} });
  open.push(() => sql.end({ timeout: 1 }));
  return sql;
}

it("comes back by itself when it is killed, with its data", async () => {
  const running = await begin({ durable: true });
  await connect(running.url)`create table kept as select 42 as answer`;
  const first = Number(running.pid());
  process.kill(first, "SIGKILL");
  await until("another life", () => running.pid() !== null && running.pid() !== first);
  await until("it answers", async () => (await connect(running.url)`select answer from kept`.catch(() => []))[0]?.["answer"] === 42);
}, 180_000);

it("ends a postmaster that an earlier run left, before it takes over the data", async () => {
  const place = await postgresPlace(home);
  await (await begin()).stop();
  const settings = ["listen_addresses=127.0.0.1", `port=${await freePort()}`, "unix_socket_directories="].flatMap((setting) => [
    "-c",
    setting,
  ]);
  const options = { cwd: dirname(place.data), detached: true, stdio: "ignore", env: { LC_ALL: "C" }, ...place.user } as const;
  const orphan = spawn(join(place.programs, "bin", "postgres"), ["-D", place.data, ...settings], options);
  orphan.unref();
  await until("the orphan holds the data", async () =>
    (await readFile(join(place.data, "postmaster.pid"), "utf8").catch(() => "")).includes("ready"),
  );

  const running = await begin();
  expect(await commandLine(Number(orphan.pid))).toBeNull();
  expect(await connect(running.url)`select 1 as one`).toHaveLength(1);
}, 180_000);

it("listens on loopback only, asks for the password, and keeps that in a file of its owner", async () => {
  const { url } = await begin();
  const wrong = new URL(url);
  wrong.password = "guess";
  await expect(connect(wrong.href)`select 1`).rejects.toMatchObject({ code: "28P01" });
  const [row] = await connect(url)`show listen_addresses`;
  expect(row?.["listen_addresses"]).toBe("127.0.0.1");
  expect(await portAnswers(new URL(url).host)).toBe(true);
  expect((await readFile(join(home, "postgres-password"), "utf8")).trim()).toBe(new URL(url).password);
}, 180_000);

it("leaves the data of another PostgreSQL alone, and names both versions", async () => {
  await (await begin()).stop();
  const { data } = await postgresPlace(home);
  await writeFile(join(data, "PG_VERSION"), "17\n");
  await expect(startPostgres({ home })).rejects.toMatchObject({
    fault: { code: "home_unknown", message: expect.stringMatching(/belongs to PostgreSQL 17; this release brings PostgreSQL 18\.$/) },
  });
}, 180_000);
