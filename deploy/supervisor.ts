/**
 * Keeps one child process alive: starts it, starts it again when it dies, and ends it in a bounded time.
 *
 * The one idea: a child is a description, so starting it again is the same as starting it. Children lead process groups of their own:
 * Ctrl-C in a terminal reaches only the supervisor, which then ends them in the right order.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { setTimeout as after } from "node:timers/promises";
import { FaultError } from "../domain/errors.ts";
import { type ChildLog, openLog } from "./logs.ts";
import { signalProcess } from "./processes.ts";

export interface Child {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the supervisor's own environment, unless it is isolated. */
  readonly env?: Readonly<Record<string, string>>;
  /** Keeps the supervisor's environment from it: a host must not even see the database's address or a key. */
  readonly isolated?: boolean;
  readonly cwd?: string;
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Whether it does its work yet. */
  readonly ready: () => Promise<boolean>;
  /** Clears what an earlier life left behind; runs before every start. */
  readonly before?: () => Promise<void>;
  /** For a program of others, which does not watch its parent: a shell does it for it, and asks it to end with this signal. */
  readonly guardedBy?: "SIGINT" | "SIGTERM" | "SIGKILL";
  /** Keeps its process id, for `before` of the next supervisor. */
  readonly pidFile?: string;
}

export interface Supervision {
  readonly logFolder: string;
  /** What people should read: lives and deaths, and the errors that the child writes. */
  readonly onLine: (line: string) => void;
}

export interface Supervised {
  readonly name: string;
  /** Ends when the child is ready for the first time; fails when it cannot start. */
  readonly ready: Promise<void>;
  /** The process that does the work, while it lives. */
  readonly pid: () => number | null;
  readonly stop: () => Promise<void>;
}

/** The first start of a cold cache on a loaded computer took 12 s. */
const readyMs = 60_000;
const pollMs = 50;
/** Deaths before the first readiness that show a broken child rather than bad luck. */
const hopelessDeaths = 3;
const firstBackOffMs = 500;
const longestBackOffMs = 30_000;
/** Who was ready for this long has recovered, and its next death starts with the shortest back-off: what a process finds at its start kills it sooner. */
const healthyMs = 10_000;
/** Longer than the 10 s in which a worker drains. */
const graceMs = 15_000;

/** Ends the program when standard input ends, which the kernel brings about even when the supervisor is killed. */
const guard = `exec 3<&0
"$@" </dev/null 3<&- & child=$!
echo "drover-pid $child"
( read -r _ <&3; kill -s "$DROVER_STOP_SIGNAL" "$child" 2>/dev/null ) & watcher=$!
trap 'kill -s "$DROVER_STOP_SIGNAL" "$child"' TERM INT
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
kill "$watcher" 2>/dev/null
wait "$watcher"
exit "$code"`;

export function supervise(child: Child, { logFolder, onLine }: Supervision): Supervised {
  const say = (line: string) => onLine(`${child.name}: ${line}`);
  const life: Life = { stopping: false, wasReady: false, isReady: false, readyAt: null, process: null, pid: null };
  // Complaints of a child that is still starting are told only if the start fails.
  const log = openLog(logFolder, child.name, (line) => life.isReady && isAlarm(line) && say(line));
  const stopped = new AbortController();
  const firstReady = Promise.withResolvers<void>();
  firstReady.promise.catch(() => {}); // Whoever waits for it hears of it; who does not, reads the log.

  const ended = (async () => {
    for (let deaths = 1, backOffMs = firstBackOffMs; !life.stopping; deaths += 1) {
      const how = await live(child, log, life, () => firstReady.resolve());
      if (life.stopping) break;
      if (!life.wasReady && deaths >= hopelessDeaths) return firstReady.reject(hopeless(child, log, how));
      if (life.readyAt !== null && performance.now() - life.readyAt > healthyMs) backOffMs = firstBackOffMs;
      say(`ended (${how}); starting it again in ${backOffMs / 1000} s. Its log: ${log.path}`);
      await after(backOffMs, undefined, { signal: stopped.signal }).catch(() => {});
      backOffMs = Math.min(backOffMs * 2, longestBackOffMs);
    }
    firstReady.reject(new FaultError({ code: "part_failed", message: `${child.name} was stopped before it was ready.` }));
  })();

  const stop = async () => {
    life.stopping = true;
    stopped.abort();
    await endWithin(life, ended);
  };
  return { name: child.name, ready: firstReady.promise, pid: () => life.pid, stop };
}

interface Life {
  stopping: boolean;
  wasReady: boolean;
  isReady: boolean;
  /** When the latest life began to do its work. */
  readyAt: number | null;
  process: ChildProcess | null;
  pid: number | null;
}

/** One life of the child, from its start to its end; the answer tells how it ended. */
async function live(child: Child, log: ChildLog, life: Life, onReady: () => void): Promise<string> {
  life.readyAt = null;
  try {
    await child.before?.();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (life.stopping) return "stopped";
  const process = begin(child);
  const exit = Promise.withResolvers<string>();
  process.on("error", (error) => exit.resolve(error.message));
  process.on("exit", (code, signal) => exit.resolve(signal ?? `exit code ${code}`));
  const known = (pid: number | null) => {
    life.pid = pid;
    if (pid !== null && child.pidFile !== undefined) writeFileSync(child.pidFile, String(pid));
  };
  life.process = process;
  if (child.guardedBy === undefined) known(process.pid ?? null);
  else process.stdout?.once("data", (text: Buffer) => known(Number(/^drover-pid (\d+)/.exec(text.toString())?.[1] ?? 0) || null));
  for (const stream of [process.stdout, process.stderr]) if (stream) log.follow(stream);
  const dead = new AbortController();
  void becomeReady(child, dead.signal).then((yes) => {
    if (!yes) return dead.signal.aborted || (log.note(`not ready after ${readyMs / 1000} s`), process.kill("SIGKILL"));
    Object.assign(life, { wasReady: true, isReady: true, readyAt: performance.now() });
    return onReady();
  });
  const how = await exit.promise;
  dead.abort();
  process.stdin?.destroy();
  Object.assign(life, { process: null, pid: null, isReady: false });
  return how;
}

function begin(child: Child): ChildProcess {
  const [command, args] =
    child.guardedBy !== undefined
      ? ["/bin/sh", ["-c", guard, `drover-${child.name}`, child.command, ...child.args]]
      : [child.command, child.args];
  const env = {
    ...(child.isolated === true ? everyday() : process.env),
    ...child.env,
    DROVER_LIFELINE: String(process.pid),
    DROVER_STOP_SIGNAL: (child.guardedBy ?? "SIGTERM").slice(3),
  };
  return spawn(command, args, { cwd: child.cwd, env, detached: true, stdio: ["pipe", "pipe", "pipe"], ...child.user });
}

/** What any program needs to find others, its user's folders, compiled code, the place for temporary files, and the way to the Internet. */
const everyday = () =>
  Object.fromEntries(
    ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "NODE_COMPILE_CACHE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"].flatMap((name) =>
      process.env[name] === undefined ? [] : [[name, process.env[name]]],
    ),
  );

async function becomeReady(child: Child, dead: AbortSignal): Promise<boolean> {
  const deadline = Date.now() + readyMs;
  while (!dead.aborted && Date.now() < deadline) {
    if (await child.ready().catch(() => false)) return true;
    await after(pollMs);
  }
  return false;
}

/** Asks, waits, and then ends the whole group of the child, so that nothing it started stays. */
async function endWithin(life: Life, ended: Promise<void>): Promise<void> {
  const group = life.process?.pid;
  if (group !== undefined) signalProcess(group, "SIGTERM");
  const late = new AbortController();
  const patience = after(graceMs, undefined, { signal: late.signal }).then(
    () => group !== undefined && signalProcess(-group, "SIGKILL"),
    () => {},
  );
  await ended;
  late.abort();
  await patience;
}

function hopeless(child: Child, log: ChildLog, how: string): FaultError {
  // A crash of Node ends with its version; what it died of stands some lines above.
  const last = log.tail().findLast((line) => /error|fatal|panic/i.test(line)) ?? log.tail().slice(-3).join(" / ");
  if (/no space left|ENOSPC/i.test(last))
    return new FaultError({ code: "disk_full", message: `${child.name} does not start: the disk is full.` });
  return new FaultError({ code: "part_failed", message: `${child.name} does not start (${how}): ${last}. Its log: ${log.path}` });
}

/** Errors as our own logs (pino) and those of PostgreSQL and Temporal write them. */
const isAlarm = (line: string) => /"level":(50|60)\b|"level":"(error|fatal)"|\b(ERROR|FATAL|PANIC):/.test(line);
