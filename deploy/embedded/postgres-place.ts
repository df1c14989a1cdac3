/**
 * Where the embedded PostgreSQL lies and who runs it.
 *
 * The one idea: PostgreSQL refuses to run as root, so root lends it a system user; where that user cannot enter (a home of mode 700), data and
 * executables lie in /var/lib/drover/<id>, and DROVER_HOME keeps the id.
 */
import { randomBytes } from "node:crypto";
import { chown, cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FaultError } from "../../domain/errors.ts";
import { postgresFolder } from "../toolchain/postgres.ts";
import { run } from "../toolchain/run.ts";

export interface User {
  readonly uid: number;
  readonly gid: number;
}

export interface Place {
  /** Holds bin, lib and share. */
  readonly programs: string;
  /** The folder of the data; a sibling of it may be written too. */
  readonly data: string;
  readonly user: User | undefined;
}

const outside = "/var/lib/drover";
/** These programs answer at once; a user database over the network may take a while. */
const quickMs = 20_000;

export async function postgresPlace(home: string): Promise<Place> {
  const shipped = await postgresFolder();
  if (process.getuid?.() !== 0) return { programs: shipped, data: join(home, "postgres", "data"), user: undefined };
  const user = await systemUser();
  const kept = await outsideOf(home);
  if (kept === null && (await mayEnter(user, home)) && (await mayEnter(user, join(shipped, "bin")))) {
    return { programs: shipped, data: await ownFolder(join(home, "postgres"), user), user };
  }
  const folder = kept ?? (await chooseOutside(home));
  await mkdir(folder, { recursive: true, mode: 0o755 });
  return { programs: await copied(shipped, join(folder, "programs")), data: await ownFolder(join(folder, "postgres"), user), user };
}

/** The folder outside DROVER_HOME that holds this home's PostgreSQL, or `null`. */
export async function outsideOf(home: string): Promise<string | null> {
  const id = await readFile(idOf(home), "utf8").catch(() => "");
  return /^[0-9a-f]{16}$/.test(id.trim()) ? join(outside, id.trim()) : null;
}

const idOf = (home: string) => join(home, "id");

async function chooseOutside(home: string): Promise<string> {
  const id = randomBytes(8).toString("hex");
  await writeFile(idOf(home), `${id}\n`, { mode: 0o600 });
  return join(outside, id);
}

async function ownFolder(folder: string, { uid, gid }: User): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chown(folder, uid, gid);
  return join(folder, "data");
}

/** Copied aside and renamed: a folder that is there is whole. */
async function copied(from: string, to: string): Promise<string> {
  const target = `${to}-${await version(from)}`;
  const present = await run("/bin/sh", ["-c", 'test -d "$1"', "sh", target], { timeoutMs: quickMs });
  if (present.code === 0) return target;
  const aside = `${target}.${process.pid}`;
  await rm(aside, { recursive: true, force: true });
  await cp(from, aside, { recursive: true, verbatimSymlinks: true });
  await rename(aside, target);
  return target;
}

async function version(programs: string): Promise<string> {
  const text = await readFile(join(programs, "..", "package.json"), "utf8");
  return /"version":\s*"([^"]+)"/.exec(text)?.[1] ?? "unknown";
}

/** Asked of the kernel as that user, because modes alone do not tell (ACLs, mount options, container user maps). */
async function mayEnter(user: User, folder: string): Promise<boolean> {
  const { code } = await run("/bin/sh", ["-c", 'cd "$1" && test -x .', "sh", folder], { timeoutMs: quickMs, user });
  return code === 0;
}

/** The user that the system has for PostgreSQL (Debian, macOS), else one made now (Debian's tool, then Alpine's). */
async function systemUser(): Promise<User> {
  for (const name of ["postgres", "_postgres"]) {
    const known = await userNamed(name);
    if (known) return known;
  }
  const made = await run("useradd", ["--system", "--user-group", "--no-create-home", "--shell", "/bin/false", "postgres"], {
    timeoutMs: quickMs,
  });
  if (made.code !== 0) await run("adduser", ["-S", "-D", "-H", "postgres"], { timeoutMs: quickMs });
  const user = await userNamed("postgres");
  if (user) return user;
  const message =
    "PostgreSQL does not run as root, and no system user `postgres` could be made. Make one, run as another user, or set DATABASE_URL.";
  throw new FaultError({ code: "tool_missing", message });
}

async function userNamed(name: string): Promise<User | null> {
  const [uid, gid] = await Promise.all(["-u", "-g"].map((option) => run("id", [option, name], { timeoutMs: quickMs })));
  return uid?.code === 0 && gid?.code === 0 ? { uid: Number(uid.output.trim()), gid: Number(gid.output.trim()) } : null;
}
