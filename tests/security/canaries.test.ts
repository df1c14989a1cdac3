/**
 * No secret shows: canaries go in through every input of a whole stack, and afterwards every place where somebody could look is searched for them.
 *
 * The one idea: the search proves itself. One canary is planted where it may be seen, and has to be found in each of those places, or the test fails.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { outsideOf } from "../../deploy/embedded/postgres-place.ts";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { openStack, type TestStack } from "../e2e/stack.ts";
import { canaries, filesOf, findInFiles, watchProcesses, type Canaries, type Found } from "./canaries.ts";
import { openGround, type Ground } from "./ground.ts";
import { describeRunningHub } from "./running-hub.ts";
import { plantAccess, plantCommands, plantInCommands, plantInCrashes, plantMalformed, plantStores, plantWebhooks } from "./planting.ts";

const secret = canaries();
/** What may be seen, to prove that it would be. */
const open = canaries();
const shown = open.plant("what may be seen").toLowerCase();
const rootPassword = secret.plant("root's password");

let stack: TestStack;
let ground: Ground;
let processes = "";

beforeAll(async () => {
  stack = await openStack({
    LOG_LEVEL: "debug",
    DROVER_HOSTS: "1",
    ROOT_PASSWORD: rootPassword,
    JWT_HMACS_SECRET: secret.plant("secret of tokens"),
    DROVER_STORE_ACCESS_KEY: secret.plant("access key of the default store"),
    DROVER_STORE_SECRET_KEY: secret.plant("secret key of the default store"),
    DROVER_STORE_SESSION_TOKEN: secret.plant("session token of the default store"),
    TEMPORAL_API_KEY: secret.plant("key of Temporal"),
    TEMPORAL_TLS: "false",
    DROVER_SMTP_URL: `smtp://u:${secret.plant("password of the SMTP server")}@127.0.0.1:9`,
    DROVER_SMTP_FROM: "drover@example.com",
  });
  ground = openGround(stack, secret);
  await knowOwnSecrets();
  const watch = watchProcesses();
  await plantEverything();
  processes = await watch.stop();
}, 400_000);
afterAll(() => stack?.close(), 60_000);

const own = (name: string) => readFile(join(stack.home, name), "utf8").then((text) => text.trim());

/** Secrets that the stack made for itself are looked for as well. */
async function knowOwnSecrets(): Promise<void> {
  const key = Buffer.from(await own("master.key"), "base64");
  secret.know("the master key", key);
  secret.know("the path where payloads are decrypted", await own("codec-path"));
  secret.know("the database's password", await own("postgres-password"));
  const identity = JSON.parse(await own("hosts/mac-1/identity.json")) as { privateKey: { d: string } };
  secret.know("a host's private key", identity.privateKey.d);
  const { body } = await ground.ask("POST", "/api/v1/auth/token", { body: { email: "root", password: rootPassword }, tells: true });
  const made = await ground.ask("POST", "/api/v2/hosts/tokens", { token: body.token, body: { hostName: "later" }, tells: true });
  secret.know("an enrolment token", String(made.body.token).split(".")[0] ?? "");
  await ground.ask("GET", `/api/v1/orchestrator/enrollment-token/${made.body.token}/validate`, { token: body.token });
}

/** Where the time of a slow run went. */
const took = async <T>(what: string, work: Promise<T>): Promise<T> => {
  const began = performance.now();
  return work.finally(() => process.stdout.write(`${what}: ${Math.round(performance.now() - began)} ms\n`));
};

async function plantEverything(): Promise<void> {
  const sample = await makeSampleBundle({
    folder: join(stack.home, "own"),
    name: "Base",
    bytes: 16 * 1024 ** 2,
    contentBytes: 1024 ** 2,
    path: process.env["PATH"] ?? "",
  });
  await stack.json("push", sample.bundlePath, shown, "--version", "1");
  await stack.json("machine", "create", shown, "--image", `${shown}:1`);
  const token = await took("plantAccess", plantAccess(ground, rootPassword));
  await ground.ask("GET", "/api/v2/machines", { token, headers: { "X-Request-Id": shown } });
  await ground.run("cli/main.ts", ["machine", "show", shown]);
  const child = spawn("/bin/sh", ["-c", "sleep 1", shown], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const events = ground.upgrade(`/api/v1/ws/subscribe?access_token=${token}`);
  await took("plantMalformed", plantMalformed(ground, token));
  await took("plantWebhooks", plantWebhooks(ground, token));
  await took("plantStores", plantStores(ground, token, sample.bundlePath));
  await took("plantCommands", plantCommands(ground, token, shown));
  await took("plantInCommands", Promise.all([plantInCommands(ground, shown), events, ended]));
  await took("plantInCrashes", plantInCrashes(ground));
  for (const path of ["/api/v2/operations", "/api/v2/events", "/api/v2/audit", "/api/v1/jobs", "/api/v2/stores", "/api/v1/auth/api_keys"])
    await ground.ask("GET", `${path}${path.startsWith("/api/v2") ? "?limit=200" : ""}`, { token });
}

type Looked = Pick<Canaries, "find">;
const inFiles = async (where: string, folder: string, without?: (path: string) => boolean): Promise<Found[][]> =>
  findInFiles(where, await filesOf(folder, without), [open, secret]);
const inText = (where: string, text: string): Found[][] => [open, secret].map((looked: Looked) => looked.find(where, text));

/** Where somebody could look: what is found there of what may be seen, and of secrets. */
const places: Readonly<Record<string, () => Promise<Found[][]>>> = {
  "rows of the database": async () => inText("database", await allRows()),
  "files of PostgreSQL, its log of changes included": async () => {
    const sql = postgres(stack.env["DATABASE_URL"] ?? "", { max: 1 });
    await sql`checkpoint`;
    await sql.end();
    // Templates, which nobody writes to.
    return inFiles("PostgreSQL", join((await outsideOf(stack.home)) ?? stack.home, "postgres"), (path) => /base\/(1|4|5)$/.test(path));
  },
  "files of Temporal": () => inFiles("Temporal", join(stack.home, "temporal")),
  "logs of all processes": () => inFiles("log", join(stack.home, "logs")),
  "disks of hosts": () => inFiles("host", join(stack.home, "hosts"), (path) => path.endsWith("identity.json")),
  "answers and what commands print": async () => {
    const found = ground.said.map(({ where, text }) => inText(where, text));
    return [found.flatMap(([seen = []]) => seen), found.flatMap(([, hidden = []]) => hidden)];
  },
  // Temporal's server takes the address of the codec as an argument only; it is there for the embedded stack, on loopback.
  "command lines of processes": async () => inText("ps", processes.replaceAll(/--ui-codec-endpoint \S+/g, "")),
};

async function allRows(): Promise<string> {
  const sql = postgres(stack.env["DATABASE_URL"] ?? "", { max: 1 });
  try {
    const tables = await sql`select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`;
    const rows: string[] = [];
    for (const { schemaname, tablename } of tables)
      for (const { row } of await sql`select row_to_json(t)::text as row from ${sql(schemaname)}.${sql(tablename)} t`)
        rows.push(`${tablename} ${row}`);
    return rows.join("\n");
  } finally {
    await sql.end();
  }
}

describe("a secret that was given to a hub in any way", () => {
  it("is one of many", () => {
    process.stdout.write(`${secret.planted.size} canaries planted\n`);
    expect(secret.planted.size).toBeGreaterThanOrEqual(40);
  });

  it.each(Object.entries(places))(
    "is not in the %s, and what may be seen there is found",
    async (_name, look) => {
      const [seen = [], hidden] = await look();
      expect(seen.length).toBeGreaterThan(0);
      expect(hidden).toEqual([]);
    },
    180_000,
  );

  it("is neither among the objects of the store, nor in other files of the stack, nor in a host's variables", async () => {
    const without = (path: string) => /\/(postgres|temporal|logs|hosts|own|canary-config)$|(master\.key|-password|codec-path)$/.test(path);
    expect((await inFiles("file", stack.home, without))[1]).toEqual([]);
    const pid = stack.stack.pids()["mac-1"];
    expect(secret.find("environ", await readFile(`/proc/${pid}/environ`))).toEqual([]);
  });

  it("does not leave by a presigned or signed address either", async () => {
    for (const path of await filesOf(join(stack.home, "logs")))
      expect(await readFile(path, "utf8")).not.toMatch(/X-Amz-Signature=[0-9a-f]{8}|[?&]signature=[\w-]{8}/);
  });
});

describe("the search", () => {
  it("finds a canary in every disguise, wherever it stands", () => {
    const canary = secret.plant("the search's own");
    for (const before of ["", "x", "xx", "xxx"])
      for (const encoding of ["utf8", "base64", "base64url", "hex", "utf16le"] as const) {
        const text =
          encoding === "utf8" || encoding === "utf16le"
            ? Buffer.from(`${before}${canary}y`, encoding)
            : Buffer.from(`${before}${canary}y`).toString(encoding);
        expect(secret.find("here", text).length, `${encoding} after ${before}`).toBeGreaterThan(0);
      }
    expect(secret.find("here", randomBytes(100_000).toString("base64"))).toEqual([]);
  });
});

describeRunningHub(
  () => stack,
  () => shown,
);
