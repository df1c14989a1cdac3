/**
 * The embedded Temporal: the development server with its web UI, on loopback, on one database file.
 *
 * The one idea: started bare it reads its one shard's queues 20 times a second and syncs every write twice; the flags below make it two to four
 * times faster, and the same keys belong in the configuration of a server of one's own.
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Connection } from "@temporalio/client";
import { freePorts, portAnswers } from "../ports.ts";
import { endOrphan } from "../processes.ts";
import { type Child, supervise } from "../supervisor.ts";
import { defaultNamespace } from "../temporal-connection.ts";
import { searchAttributes, setupNamespace } from "../temporal-setup.ts";
import { temporalBinary } from "../toolchain/temporal.ts";

export const dynamicConfig = {
  "history.transferProcessorMaxPollRPS": 2000,
  "history.timerProcessorMaxPollRPS": 2000,
  "history.visibilityProcessorMaxPollRPS": 500,
  "history.outboundProcessorMaxPollRPS": 500,
  // Each host keeps several long polls open; the server's own limit per namespace is for guests.
  "frontend.namespaceCount": 10_000,
  "matching.numTaskqueueReadPartitions": 1,
  "matching.numTaskqueueWritePartitions": 1,
  // Nothing of ours asks the internet whether there is a newer version.
  "frontend.enableServerVersionCheck": false,
};

export interface TemporalOptions {
  readonly home: string;
  /** Without them, free ports are chosen. */
  readonly ports?: { readonly grpc: number; readonly ui: number };
  /** `false`: in memory, without the web UI, for tests. */
  readonly lasting?: boolean;
  readonly namespace?: string;
  /** Where the web UI has payloads decrypted. */
  readonly codecEndpoint?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly onLine?: (line: string) => void;
}

export interface RunningTemporal {
  readonly address: string;
  readonly uiUrl: string;
  readonly namespace: string;
  readonly pid: () => number | null;
  readonly stop: () => Promise<void>;
}

export async function startTemporal(options: TemporalOptions): Promise<RunningTemporal> {
  const { home, namespace = defaultNamespace, env = process.env, onLine = () => {} } = options;
  const folder = folderOf(home);
  const [command, ports] = await Promise.all([
    temporalBinary({ env, onLine }),
    options.ports ?? freePorts(2).then(([grpc = 0, ui = 0]) => ({ grpc, ui })),
    mkdir(folder, { recursive: true, mode: 0o700 }),
  ]);
  const address = `127.0.0.1:${ports.grpc}`;
  const child = supervise(description({ ...options, command, ports, namespace }), { logFolder: join(home, "logs"), onLine });
  try {
    await child.ready;
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { address, uiUrl: `http://127.0.0.1:${ports.ui}`, namespace, pid: child.pid, stop: child.stop };
}

interface ServerOptions extends TemporalOptions {
  readonly command: string;
  readonly ports: { readonly grpc: number; readonly ui: number };
  readonly namespace: string;
}

function serverArgs({ home, ports, namespace, lasting = true, codecEndpoint }: ServerOptions): string[] {
  const file = [
    "--db-filename",
    join(folderOf(home), "temporal.db"),
    "--sqlite-pragma",
    "journal_mode=wal",
    "--sqlite-pragma",
    "synchronous=normal",
  ];
  return [
    ...marked(ports.grpc),
    "--namespace",
    namespace,
    "--log-level",
    "warn",
    "--log-format",
    "json",
    ...(lasting ? [...file, "--ui-port", String(ports.ui)] : ["--headless"]),
    ...(codecEndpoint === undefined ? [] : ["--ui-codec-endpoint", codecEndpoint]),
    ...searchAttributes.flatMap((name) => ["--search-attribute", `${name}=Keyword`]),
    ...Object.entries(dynamicConfig).flatMap(([key, value]) => ["--dynamic-config-value", `${key}=${JSON.stringify(value)}`]),
  ];
}

function description(options: ServerOptions): Child {
  const { command, home, ports, namespace, lasting = true } = options;
  return {
    name: "temporal",
    command,
    args: serverArgs(options),
    cwd: folderOf(home),
    // It takes a second to end well, which is for nothing where it keeps nothing.
    guardedBy: lasting ? "SIGTERM" : "SIGKILL",
    pidFile: pidFile(folderOf(home)),
    before: () => endOldTemporal(home, ports.grpc),
    ready: () => prepared(`127.0.0.1:${ports.grpc}`, namespace),
  };
}

/** Ready means more than open: the namespace is there, with our retention and attributes, after every life of the server. */
async function prepared(address: string, namespace: string): Promise<boolean> {
  // A connection that is refused once waits a second by itself before it tries again; a look at the port does not.
  if (!(await portAnswers(address))) return false;
  const connection = await Connection.connect({ address, connectTimeout: "2s" });
  try {
    await setupNamespace(connection, namespace);
    return true;
  } finally {
    await connection.close();
  }
}

const pidFile = (folder: string) => join(folder, "temporal.pid");

/** A server that outlived its supervisor holds the database file and the ports. */
export async function endOldTemporal(home: string, port: number): Promise<void> {
  const pid = Number(await readFile(pidFile(folderOf(home)), "utf8").catch(() => ""));
  if (pid > 0) await endOrphan({ pid, mark: `${marked(port).join(" ")} `, signal: "SIGTERM" });
}

const folderOf = (home: string) => join(home, "temporal");

/** How the command line of our server begins, by which an old one is known. */
const marked = (port: number) => ["server", "start-dev", "--ip", "127.0.0.1", "--port", String(port)];
