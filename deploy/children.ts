/**
 * Drover's own processes in the embedded stack: the hub's three, then hosts in folders of their own.
 *
 * The one idea: a host is started here as it is on a Mac of its own. It is enrolled by a token, knows one file, and none of the hub's variables reach it.
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Config, Environment } from "../domain/config/schema.ts";
import type { VariableName } from "../domain/config/variables.ts";
import type { Child } from "./supervisor.ts";

const program = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const node = (path: string) => ({ command: process.execPath, args: [program(path)] });

/** A process is ready when it says so itself: `/readyz` names what is missing until then. */
const answers = (url: string) => async (): Promise<boolean> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(2000) }).catch(() => null);
  return response?.ok ?? false;
};

export function hubChildren({ api, health }: Config): Child[] {
  return [
    { name: "api", ...node("api/main.ts"), ready: answers(`${api.url}/readyz`) },
    { name: "hub", ...node("workers/hub.ts"), ready: answers(`http://127.0.0.1:${health.hubPort}/readyz`) },
    { name: "gateway", ...node("workers/gateway.ts"), ready: answers(`http://127.0.0.1:${health.gatewayPort}/readyz`) },
  ];
}

export interface EmbeddedHost {
  readonly name: string;
  readonly home: string;
  readonly simulated: boolean;
  /** Which of the hosts of this computer it is. */
  readonly index: number;
}

/** Where Parallels Desktop is, this computer is the one host; elsewhere as many are simulated as the configuration says. */
export function embeddedHosts({ home, hosts }: Config, hasParallels: boolean): EmbeddedHost[] {
  const at = (name: string, simulated: boolean, index: number) => ({ name, home: join(home, "hosts", name), simulated, index });
  if (hasParallels) return [at("this-mac", false, 0)];
  return Array.from({ length: hosts.simulated }, (_, index) => at(`mac-${index + 1}`, true, index));
}

export const isEnrolled = ({ home }: EmbeddedHost): Promise<boolean> =>
  access(join(home, "identity.json")).then(
    () => true,
    () => false,
  );

/** What a host may take from this computer's configuration: all of it is about itself. */
const about = [
  "LOG_LEVEL",
  "DROVER_BOOT_LIMIT",
  "DROVER_PRLCTL",
  "DROVER_HOST_ROOTS",
  "DROVER_STORE_SILENCE",
  "DROVER_TRANSFERS",
  "DROVER_TRANSFER_REQUESTS",
  "DROVER_TRANSFER_BANDWIDTH",
  "DROVER_COMPRESSION",
  "DROVER_SIMULATED_CPUS",
  "DROVER_SIMULATED_MEMORY",
  "CATALOG_CACHE_KEEP_FREE_DISK_SPACE",
  "CATALOG_CACHE_MAX_SIZE",
  "DROVER_PEER_HOST",
  "DROVER_PEER_NETWORK",
] as const satisfies readonly VariableName[];

/** Its own folder, and nothing that only the hub may know. */
export function hostVariables({ home, simulated, index }: EmbeddedHost, env: Environment): Record<string, string> {
  const given = Object.fromEntries(about.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
  return { ...given, ...peerPort(index, env), DROVER_HOME: home, DROVER_SIMULATE: String(simulated) };
}

/** Hosts of one computer share its addresses: each has a port of its own, from the given one on. */
function peerPort(index: number, { DROVER_PEER_PORT: first = "" }: Environment): Record<string, string> {
  return first === "" || first === "0" ? {} : { DROVER_PEER_PORT: String(Number(first) + index) };
}

export function hostChild(host: EmbeddedHost, env: Environment, isOnline: () => Promise<boolean>): Child {
  return { name: host.name, ...node("workers/host.ts"), env: hostVariables(host, env), isolated: true, ready: isOnline };
}
