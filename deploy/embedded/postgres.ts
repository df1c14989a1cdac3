/**
 * The embedded PostgreSQL: initialised once, on loopback only, behind a random password.
 *
 * The one idea: the data folder becomes visible by one rename after initdb ended well, so a start that was killed half-way leaves nothing to mend.
 */
import { randomBytes } from "node:crypto";
import { chown, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import postgres from "postgres";
import { FaultError } from "../../domain/errors.ts";
import { freePort } from "../ports.ts";
import { endOrphan } from "../processes.ts";
import { type Child, type Supervised, supervise } from "../supervisor.ts";
import { must } from "../toolchain/run.ts";
import { type Place, postgresPlace } from "./postgres-place.ts";

const role = "drover";
const database = "drover";
/** initdb took 1 s here; a slow disk under load needs more. */
const initMs = 120_000;

export interface PostgresOptions {
  readonly home: string;
  /** Without one, a free port is chosen. */
  readonly port?: number;
  /** `false` gives up safety against a crash of the computer, for tests. */
  readonly durable?: boolean;
  readonly onLine?: (line: string) => void;
}

export interface RunningPostgres {
  /** Address of the database `drover`, password included. */
  readonly url: string;
  readonly pid: () => number | null;
  readonly stop: () => Promise<void>;
}

export async function startPostgres({ home, port, durable = true, onLine = () => {} }: PostgresOptions): Promise<RunningPostgres> {
  const chosen = port ?? (await freePort());
  const place = await postgresPlace(home);
  const password = await passwordOf(home);
  await endOld(place);
  await initialise(place, password, durable);
  const admin = `postgres://${role}:${password}@127.0.0.1:${chosen}/postgres`;
  const child = supervise(description({ place, port: chosen, durable, admin }), { logFolder: join(home, "logs"), onLine });
  return begun(child, admin);
}

/** Makes a database of its own on the same server and tells its address; one that is already there is taken as it is. */
export async function createDatabase(url: string, name = `d${randomBytes(8).toString("hex")}`): Promise<string> {
  const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => {} });
  try {
    const [found] = await sql`select 1 from pg_database where datname = ${name}`;
    if (!found) await sql`create database ${sql(name)}`;
  } finally {
    await sql.end();
  }
  const made = new URL(url);
  made.pathname = `/${name}`;
  return made.href;
}

async function begun(child: Supervised, admin: string): Promise<RunningPostgres> {
  try {
    await child.ready;
    return { url: await createDatabase(admin, database), pid: child.pid, stop: child.stop };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

interface Description {
  readonly place: Place;
  readonly port: number;
  readonly durable: boolean;
  readonly admin: string;
}

function description({ place, port, durable, admin }: Description): Child {
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    // Every process of the stack has a pool of its own; each connection costs little while it idles.
    max_connections: "200",
    // Errors go to whoever asked, who knows what to leave out; here they would show the values of queries.
    log_min_messages: "log",
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
    timezone: "UTC",
    log_timezone: "UTC",
    ...(durable ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
  return {
    name: "postgres",
    command: join(place.programs, "bin", "postgres"),
    args: ["-D", place.data, ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`])],
    env: { LC_ALL: "C", PGDATA: place.data },
    cwd: dirname(place.data),
    user: place.user,
    // Ends sessions and writes what is in memory; SIGTERM would wait for every client.
    guardedBy: "SIGINT",
    before: () => endOld(place),
    ready: () => answers(admin),
  };
}

async function answers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 5, fetch_types: false, onnotice: () => {} });
  try {
    return (await sql`select 1`).length === 1;
  } finally {
    await sql.end({ timeout: 0 });
  }
}

/** A postmaster that outlived its supervisor holds the data: it is asked to end, and waited for. */
async function endOld({ data }: Place): Promise<void> {
  const text = await readFile(join(data, "postmaster.pid"), "utf8").catch(() => "");
  const pid = Number(text.split("\n")[0]);
  if (pid > 0) await endOrphan({ pid, mark: data, signal: "SIGINT" });
}

export const endOldPostgres = async (home: string) => endOld(await postgresPlace(home));

async function initialise({ programs, data, user }: Place, password: string, durable: boolean): Promise<void> {
  const found = await readFile(join(data, "PG_VERSION"), "utf8").catch(() => null);
  if (found !== null) return checkVersion(programs, data, found.trim());
  const base = dirname(data);
  const [aside, secret] = [join(base, "data.new"), join(base, "password")];
  await mkdir(base, { recursive: true, mode: 0o700 });
  await rm(aside, { recursive: true, force: true });
  await writeFile(secret, password, { mode: 0o600 });
  if (user) await chown(secret, user.uid, user.gid);
  const options = [
    "-D",
    aside,
    "-U",
    role,
    "--auth=scram-sha-256",
    `--pwfile=${secret}`,
    "--encoding=UTF8",
    "--locale=C",
    "--no-instructions",
    ...(durable ? [] : ["--no-sync"]),
  ];
  try {
    await must(join(programs, "bin", "initdb"), options, {
      why: "Making the PostgreSQL data folder",
      timeoutMs: initMs,
      cwd: base,
      ...(user ? { user } : {}),
    });
    await rename(aside, data);
  } finally {
    await rm(secret, { force: true });
  }
}

async function checkVersion(programs: string, data: string, found: string): Promise<void> {
  const output = await must(join(programs, "bin", "postgres"), ["--version"], {
    why: "Asking PostgreSQL for its version",
    timeoutMs: initMs,
  });
  const major = /(\d+)(\.|beta|rc)/.exec(output)?.[1] ?? "";
  if (found === major) return;
  throw new FaultError({
    code: "home_unknown",
    message: `The database in ${data} belongs to PostgreSQL ${found}; this release brings PostgreSQL ${major}.`,
  });
}

/** Where the embedded database of this folder is while the stack runs; null where there never was one. */
export async function keptPostgresUrl(home: string, port: number): Promise<string | null> {
  const password = await keptPassword(home);
  return password === "" ? null : `postgres://${role}:${password}@127.0.0.1:${port}/${database}`;
}

const passwordFile = (home: string) => join(home, "postgres-password");
const keptPassword = async (home: string) => (await readFile(passwordFile(home), "utf8").catch(() => "")).trim();

async function passwordOf(home: string): Promise<string> {
  const path = passwordFile(home);
  const kept = await keptPassword(home);
  if (kept !== "") return kept;
  const password = randomBytes(24).toString("base64url");
  await mkdir(home, { recursive: true });
  await writeFile(path, `${password}\n`, { mode: 0o600 });
  return password;
}
