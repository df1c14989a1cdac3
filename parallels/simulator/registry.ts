/**
 * The machines that a simulated Mac has registered, shared by all commands that run at the same time.
 *
 * The one idea: SQLite does the locking and the recovery, so twenty commands at once keep the registry whole and a killed one leaves
 * nothing half written.
 */
import { rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { Fault } from "./control.ts";
import { pathsIn } from "./home.ts";
import type { Machine } from "./machine.ts";

/** Every command holds the lock for milliseconds; half a minute without it means that something is broken. */
const lockTimeoutMs = 30_000;

export interface Registry {
  all(): Machine[];
  /** By id, with or without braces, or by its whole name. */
  find(handle: string): Machine | null;
  put(machine: Machine): void;
  drop(id: string): void;
  /** Runs alone among all commands. */
  alone<T>(work: () => T): T;
  /** Work that takes long and must be seen by others: a clone, a guest session. It ends with its process. */
  begin(work: Work): void;
  end(work: Work): void;
  underway(kind: Work["kind"]): Work[];
  /** Counts one use of a fault; `false`: it was used as often as it should be. */
  useFault(fault: Fault): boolean;
}

export interface Work {
  readonly kind: "clone" | "linked-clone" | "session";
  readonly machineId: string;
  /** What is removed when the process dies before it ends the work. */
  readonly leftovers: readonly string[];
}

/** Synchronous writes guard against a power cut, which a simulation need not survive. */
const setup = `
  pragma journal_mode = wal;
  pragma synchronous = off;
  create table if not exists machines (id text primary key, machine text not null) strict;
  create table if not exists work (pid integer not null, kind text not null, machine_id text not null, leftovers text not null) strict;
  create table if not exists faults (fault text primary key, used integer not null) strict;
`;

export function openRegistry(home: string): Registry {
  const db = new DatabaseSync(pathsIn(home).registry, { timeout: lockTimeoutMs });
  db.exec(setup);
  const all = () =>
    db
      .prepare("select machine from machines")
      .all()
      .map((row) => JSON.parse(String(row["machine"])) as Machine);
  const alone = <T>(work: () => T): T => {
    db.exec("begin immediate");
    try {
      const value = work();
      db.exec("commit");
      return value;
    } catch (error) {
      db.exec("rollback");
      throw error;
    }
  };

  return {
    all,
    alone,
    find: (handle) => {
      const id = handle.replace(/^\{(.*)\}$/, "$1").toLowerCase();
      const machines = all();
      return machines.find((machine) => machine.id === id) ?? machines.find(({ name }) => name === handle) ?? null;
    },
    put: (machine) => void db.prepare("insert or replace into machines values (?, ?)").run(machine.id, JSON.stringify(machine)),
    drop: (id) => void db.prepare("delete from machines where id = ?").run(id),
    begin: ({ kind, machineId, leftovers }) =>
      void db.prepare("insert into work values (?, ?, ?, ?)").run(process.pid, kind, machineId, JSON.stringify(leftovers)),
    end: ({ kind }) => void db.prepare("delete from work where pid = ? and kind = ?").run(process.pid, kind),
    underway: (kind) => livingWork(db, all()).filter((work) => work.kind === kind),
    useFault: (fault) => fault.times === undefined || alone(() => countFault(db, fault, fault.times ?? 0)),
  };
}

/** Forgets the work of processes that died, and removes what they left; what is registered by now is nobody's leftover. */
function livingWork(db: DatabaseSync, machines: readonly Machine[]): Work[] {
  const rows = db.prepare("select pid, kind, machine_id, leftovers from work").all();
  return rows.flatMap((row) => {
    const pid = Number(row["pid"]);
    const leftovers = JSON.parse(String(row["leftovers"])) as string[];
    if (isAlive(pid)) return [{ kind: String(row["kind"]) as Work["kind"], machineId: String(row["machine_id"]), leftovers }];
    const unclaimed = leftovers.filter((path) => !machines.some(({ bundlePath }) => bundlePath === path));
    for (const path of unclaimed) rmSync(path, { recursive: true, force: true });
    db.prepare("delete from work where pid = ?").run(pid);
    return [];
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function countFault(db: DatabaseSync, fault: Fault, times: number): boolean {
  const key = JSON.stringify(fault);
  const used = Number(db.prepare("select used from faults where fault = ?").get(key)?.["used"] ?? 0);
  if (used >= times) return false;
  db.prepare("insert or replace into faults values (?, ?)").run(key, used + 1);
  return true;
}
