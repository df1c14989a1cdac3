/**
 * The simulated `prlctl`. Verbs are loaded when they are called: a command starts as fast as the verb it needs.
 */
import { runCommand } from "./main.ts";
import { version } from "./machine-json.ts";
import type { Command, Verb } from "./command.ts";
import { failure } from "./failure.ts";

const lifecycle = (name: "start" | "stop" | "restart" | "reset" | "suspend" | "resume" | "pause" | "status") => async (): Promise<Verb> =>
  (await import("./lifecycle.ts"))[name];
const bundles = (name: "create" | "clone" | "register" | "unregister" | "remove" | "move") => async (): Promise<Verb> =>
  (await import("./bundles.ts"))[name];
const snapshots = (name: "snapshot" | "snapshotList" | "snapshotSwitch" | "snapshotDelete") => async (): Promise<Verb> =>
  (await import("./snapshots.ts"))[name];

/** What the simulator has no disk format for. */
const refused = async (): Promise<Verb> => (command: Command) => {
  throw failure(
    `Unable to perform the operation for ${command.argv[0] ?? "the virtual machine"}: This feature is not available in this edition of Parallels Desktop.`,
  );
};

const verbs: Readonly<Record<string, () => Promise<Verb>>> = {
  list: async () => (await import("./list.ts")).list,
  start: lifecycle("start"),
  stop: lifecycle("stop"),
  restart: lifecycle("restart"),
  reset: lifecycle("reset"),
  suspend: lifecycle("suspend"),
  resume: lifecycle("resume"),
  pause: lifecycle("pause"),
  status: lifecycle("status"),
  create: bundles("create"),
  clone: bundles("clone"),
  register: bundles("register"),
  unregister: bundles("unregister"),
  delete: bundles("remove"),
  move: bundles("move"),
  set: async () => (await import("./set.ts")).set,
  exec: async () => (await import("./guest.ts")).exec,
  snapshot: snapshots("snapshot"),
  "snapshot-list": snapshots("snapshotList"),
  "snapshot-switch": snapshots("snapshotSwitch"),
  "snapshot-delete": snapshots("snapshotDelete"),
  capture: async () => (await import("./capture.ts")).capture,
  "monitor-events": async () => (await import("./events.ts")).monitorEvents,
  server: async () => (await import("./server.ts")).serverInfo,
  pack: refused,
  unpack: refused,
  archive: refused,
  unarchive: refused,
  encrypt: refused,
  decrypt: refused,
};

const argv = process.argv.slice(2);
if (argv[0] === "--version") process.stdout.write(`prlctl version ${version.name} (${version.build})\n`);
else await runCommand(argv, verbs, `Usage: prlctl ACTION <ID | NAME> [OPTIONS]\nActions: ${Object.keys(verbs).join(", ")}`);
