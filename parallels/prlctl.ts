/**
 * Parallels Desktop as Drover uses it: one function per verb of `prlctl`, in Drover's words, units and faults.
 *
 * The one idea: the driver holds no state and no policy. Each call is one or two commands; what may happen at once (one change per machine,
 * one linked clone of a source, two guest sessions) is decided by whoever calls. Asked for a state that is reached already, Parallels says
 * `machine_state`, and so does the driver.
 */
import { basename, dirname, isAbsolute, join } from "node:path";
import type { StopMode } from "../domain/machines/rules.ts";
import type { Snapshot } from "../domain/machines/schema.ts";
import { FaultError } from "../domain/errors.ts";
import { handleOf, uuidOf, valueOf } from "./arguments.ts";
import { faultOf, hasFailed } from "./errors.ts";
import { execIn, type Exec, type Executed } from "./exec.ts";
import type { PrlctlPaths } from "./locate.ts";
import { parseInventory, parseList, type ListedMachine, type VmInfo } from "./parse/machines.ts";
import { parseServerInfo, parseVersion, type ServerInfo, type Version } from "./parse/server.ts";
import { parseSnapshotId, parseSnapshots } from "./parse/snapshots.ts";
import { run, type Ran, type RunOptions } from "./run.ts";
import { commandsOf, type Changes } from "./set.ts";

/** How long a call may take and who may end it; what is left out is as the verb usually has it. */
export interface Call {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

export interface NewClone {
  readonly name: string;
  /** The folder that will hold the new bundle; without it Parallels' own. */
  readonly dst?: string | undefined;
  readonly linked?: boolean | undefined;
  readonly onProgress?: ((percent: number) => void) | undefined;
}

/** A machine is named by its id or by its whole name. */
export interface Prlctl {
  readonly paths: PrlctlPaths;
  version(call?: Call): Promise<Version>;
  serverInfo(call?: Call): Promise<ServerInfo>;
  /** State and address of every machine, fast. */
  list(call?: Call): Promise<ListedMachine[]>;
  /** Everything about every machine: the slow way. */
  inventory(call?: Call): Promise<VmInfo[]>;
  /** `null`: there is no such machine. */
  find(machine: string, call?: Call): Promise<VmInfo | null>;
  register(bundlePath: string, identity: { uuid: string; regenerateSourceUuid?: boolean | undefined }, call?: Call): Promise<void>;
  /** Forgets the machine and keeps its bundle. */
  unregister(machine: string, call?: Call): Promise<void>;
  /** Forgets the machine and removes its bundle. */
  remove(machine: string, call?: Call): Promise<void>;
  /** Answers the new machine. */
  clone(machine: string, clone: NewClone, call?: Call): Promise<VmInfo>;
  /** Returns while the machine is still starting. */
  start(machine: string, call?: Call): Promise<void>;
  /** Returns when the machine has stopped. `drop-state` throws a suspended machine's memory away. */
  stop(machine: string, how: { mode: StopMode }, call?: Call): Promise<void>;
  restart(machine: string, call?: Call): Promise<void>;
  reset(machine: string, call?: Call): Promise<void>;
  suspend(machine: string, call?: Call): Promise<void>;
  resume(machine: string, call?: Call): Promise<void>;
  pause(machine: string, call?: Call): Promise<void>;
  set(machine: string, changes: Changes, call?: Call): Promise<void>;
  /** Answers the snapshot's id. */
  snapshotCreate(machine: string, snapshot: { name: string; description?: string | undefined }, call?: Call): Promise<string>;
  snapshotList(machine: string, call?: Call): Promise<Snapshot[]>;
  /** `resume: false` leaves a machine that ran at the snapshot suspended. */
  snapshotRevert(machine: string, to: { snapshotId: string; resume: boolean }, call?: Call): Promise<void>;
  snapshotRemove(machine: string, what: { snapshotId: string; children?: boolean | undefined }, call?: Call): Promise<void>;
  /** Copies a file or folder of this computer into the guest, through Parallels Tools. */
  copyIn(machine: string, copy: { from: string; to: string }, call?: Call): Promise<void>;
  /** Writes a picture of the screen. */
  capture(machine: string, to: { pngPath: string }, call?: Call): Promise<void>;
  /** Runs a script or a command in the guest; the exit code is the guest's own. */
  exec(machine: string, what: Exec, call?: Call): Promise<Executed>;
}

const second = 1000;
/** A busy host answers a full list in some seconds; three minutes are what other tools found enough. */
const readMs = 180 * second;
/** Registering and configuring take about a second; the service may be restarting meanwhile. */
const quickMs = 120 * second;
/** Parallels gives a guest 120 s to shut down. */
const stopMs = 180 * second;
/** Memory is written or read: 64 GB at 200 MB/s are five minutes. Removing a large bundle is in the same range. */
const memoryMs = 900 * second;
/** Where the file system cannot share blocks, some hundred GB are copied byte by byte. */
const copyMs = 4 * 3600 * second;

/** `onBegun` hears of every command that changes a machine: such a one goes on when its caller dies. */
export function openPrlctl(paths: PrlctlPaths, onBegun?: RunOptions["onBegun"]): Prlctl {
  const commands = commandsAt(paths.prlctlPath, onBegun);
  return { paths, ...queries(paths, commands), ...bundles(commands), ...power(commands), ...changes(commands), ...snapshots(commands) };
}

const reading: ReadonlySet<string> = new Set(["list", "snapshot-list", "--version"]);

interface Commands {
  readonly prlctlPath: string;
  readonly onBegun: RunOptions["onBegun"];
  /** Runs one command to its end and turns its complaint into a fault. */
  readonly ran: (
    argv: readonly string[],
    subject: string | null,
    call: Call | undefined,
    usualMs: number,
    further?: Partial<RunOptions>,
  ) => Promise<Ran>;
  /** A verb on a machine, whose output tells nothing more. */
  readonly act: (verb: string, machine: string, call: Call | undefined, usualMs: number, ...words: string[]) => Promise<void>;
  readonly find: Prlctl["find"];
}

function commandsAt(prlctlPath: string, onBegun: RunOptions["onBegun"]): Commands {
  const ran: Commands["ran"] = async (argv, subject, call, usualMs, further = {}) => {
    const noted = reading.has(argv[0] ?? "") ? {} : { onBegun };
    const result = await run(prlctlPath, argv, { ...further, ...noted, signal: call?.signal, timeoutMs: call?.timeoutMs ?? usualMs });
    if (hasFailed(result)) throw faultOf(argv[0] ?? "", subject, result);
    return result;
  };
  return {
    prlctlPath,
    onBegun,
    ran,
    act: async (verb, machine, call, usualMs, ...words) => void (await ran([verb, handleOf(machine), ...words], machine, call, usualMs)),
    find: async (machine, call) => {
      try {
        return parseInventory((await ran(["list", handleOf(machine), "-a", "-i", "--json"], machine, call, readMs)).stdout)[0] ?? null;
      } catch (error) {
        if (error instanceof FaultError && error.fault.code === "machine_not_found") return null;
        throw error;
      }
    },
  };
}

function queries(
  { prlsrvctlPath }: PrlctlPaths,
  { ran, find }: Commands,
): Pick<Prlctl, "find" | "version" | "serverInfo" | "list" | "inventory"> {
  return {
    find,
    version: async (call) => parseVersion((await ran(["--version"], null, call, quickMs)).stdout),
    serverInfo: async (call) => {
      const result = await run(prlsrvctlPath, ["info", "--json"], { signal: call?.signal, timeoutMs: call?.timeoutMs ?? quickMs });
      if (hasFailed(result)) throw faultOf("server info", null, result);
      return parseServerInfo(result.stdout);
    },
    list: async (call) => parseList((await ran(["list", "-a", "-f", "--json"], null, call, readMs)).stdout),
    inventory: async (call) => {
      const listed = parseInventory((await ran(["list", "-a", "-i", "--json"], null, call, readMs)).stdout);
      const whole: VmInfo[] = [];
      for (const info of listed) whole.push(await withBundle(info, () => find(info.id, call)));
      return whole;
    },
  };
}

/** In a list of all machines Parallels may leave out where a bundle lies; asked for one machine, it tells. Each such call is slow. */
async function withBundle(info: VmInfo, asked: () => Promise<VmInfo | null>): Promise<VmInfo> {
  if (info.bundlePath === null) return (await asked()) ?? info;
  return info.raw["Home"] === "" ? { ...info, raw: { ...info.raw, Home: `${info.bundlePath}/` } } : info;
}

function bundles({ ran, act, find }: Commands): Pick<Prlctl, "register" | "unregister" | "remove" | "clone"> {
  return {
    register: async (bundlePath, { uuid, regenerateSourceUuid = false }, call) => {
      const words = ["--uuid", uuidOf("id of the machine", uuid), ...(regenerateSourceUuid ? ["--regenerate-src-uuid"] : [])];
      await ran(["register", pathOf(bundlePath), ...words], bundlePath, call, quickMs);
    },
    unregister: (machine, call) => act("unregister", machine, call, quickMs),
    remove: (machine, call) => act("delete", machine, call, memoryMs),
    clone: async (machine, { name, dst, linked = false, onProgress }, call) => {
      const words = [
        "--name",
        valueOf("name of the clone", name),
        ...(dst === undefined ? [] : ["--dst", pathOf(dst)]),
        ...(linked ? ["--linked"] : []),
      ];
      await ran(["clone", handleOf(machine), ...words], machine, call, copyMs, onProgress ? { onStdout: percentOf(onProgress) } : {});
      const made = await find(name, call);
      if (made) return made;
      throw new FaultError({
        code: "machine_lost",
        message: `${name}, the clone of ${machine}, was made and is not there any more.`,
        subject: name,
      });
    },
  };
}

function power({ act }: Commands): Pick<Prlctl, "start" | "stop" | "restart" | "reset" | "suspend" | "resume" | "pause"> {
  return {
    start: (machine, call) => act("start", machine, call, quickMs),
    stop: (machine, { mode }, call) => act("stop", machine, call, stopMs, ...(mode === "graceful" ? [] : [`--${mode}`])),
    restart: (machine, call) => act("restart", machine, call, stopMs),
    reset: (machine, call) => act("reset", machine, call, quickMs),
    suspend: (machine, call) => act("suspend", machine, call, memoryMs),
    resume: (machine, call) => act("resume", machine, call, memoryMs),
    pause: (machine, call) => act("pause", machine, call, quickMs),
  };
}

function changes({ prlctlPath, onBegun, act }: Commands): Pick<Prlctl, "set" | "copyIn" | "capture" | "exec"> {
  return {
    set: async (machine, wanted, call) => {
      for (const words of commandsOf(wanted)) await act("set", machine, call, quickMs, ...words);
    },
    copyIn: async (machine, { from, to }, call) => {
      const words = ["--vm", handleOf(machine), pathOf(from), valueOf("path in the guest", to)];
      const path = join(dirname(prlctlPath), basename(prlctlPath).replace("prlctl", "prlcopy"));
      const result = await run(path, words, { signal: call?.signal, timeoutMs: call?.timeoutMs ?? copyMs, onBegun });
      if (hasFailed(result)) throw faultOf("copy into the guest", machine, result);
    },
    capture: (machine, { pngPath }, call) => act("capture", machine, call, quickMs, "--file", pathOf(pngPath)),
    exec: (machine, what, call) => execIn({ prlctlPath, onBegun }, machine, what, call),
  };
}

function snapshots({ ran, act }: Commands): Pick<Prlctl, "snapshotCreate" | "snapshotList" | "snapshotRevert" | "snapshotRemove"> {
  return {
    snapshotCreate: async (machine, { name, description }, call) => {
      const words = ["--name", valueOf("name of the snapshot", name)];
      if (description !== undefined) words.push("--description", valueOf("description of the snapshot", description));
      return parseSnapshotId((await ran(["snapshot", handleOf(machine), ...words], machine, call, memoryMs)).stdout);
    },
    snapshotList: async (machine, call) =>
      parseSnapshots((await ran(["snapshot-list", handleOf(machine), "--json"], machine, call, readMs)).stdout),
    snapshotRevert: (machine, { snapshotId, resume }, call) =>
      act("snapshot-switch", machine, call, memoryMs, "--id", bracedOf(snapshotId), ...(resume ? [] : ["--skip-resume"])),
    snapshotRemove: (machine, { snapshotId, children = false }, call) =>
      act("snapshot-delete", machine, call, memoryMs, "--id", bracedOf(snapshotId), ...(children ? ["--children"] : [])),
  };
}

const bracedOf = (snapshotId: string) => `{${uuidOf("id of the snapshot", snapshotId)}}`;

function pathOf(path: string): string {
  if (isAbsolute(path)) return valueOf("path", path);
  throw new FaultError({ code: "argument_refused", message: `${JSON.stringify(path)} cannot be given to prlctl: it is no absolute path.` });
}

/** `Copying hard disk... 12%`, written again and again over itself. */
function percentOf(onProgress: (percent: number) => void): (bytes: Buffer) => void {
  return (bytes) => {
    const percent = [...bytes.toString("latin1").matchAll(/(\d{1,3}) ?%/g)].at(-1)?.[1];
    if (percent !== undefined) onProgress(Math.min(100, Number(percent)));
  };
}
