/**
 * Runs services of the compose file as processes of this computer, without a container engine.
 *
 * The one idea: each has a loopback address of its own, as a container has one, so ports stay those of the file. Commands come from the Dockerfile,
 * variables from the compose file; all that differs is where secrets lie and the addresses in `places`.
 */
import { join } from "node:path";
import { type Child, supervise, type Supervised } from "../../deploy/supervisor.ts";
import type { Compose, Service } from "./compose.ts";
import { type Stage, stepsOf } from "./dockerfile.ts";

export interface Engine {
  readonly compose: Compose;
  readonly stages: readonly Stage[];
  /** The folder that the image has at /drover: this project, or what the Dockerfile makes of it. */
  readonly program: string;
  /** Where everything of this run lies; `secrets/` in it is what containers see as /run/secrets. */
  readonly home: string;
  /** What the file calls its servers, and where they are here. */
  readonly places: Readonly<Record<string, string>>;
}

export interface Container extends Supervised {
  readonly address: string;
}

/** The variables of a service as they are here. */
export function variablesOf({ home, places }: Engine, { environment }: Service, address: string): Record<string, string> {
  const here = (value: string) => {
    if (value.startsWith("/run/secrets/")) return join(home, "secrets", value.slice("/run/secrets/".length));
    return value === "0.0.0.0" ? address : (places[value] ?? value);
  };
  return { HOME: home, ...Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, here(value)])) };
}

/** What a service runs: its own command, else that of its image. */
export function commandOf({ stages }: Engine, { command, build }: Service): string[] {
  if (command !== undefined) return command;
  const text = stepsOf(stages, build?.target ?? "").findLast(({ word }) => word === "CMD")?.text ?? "[]";
  return JSON.parse(text) as string[];
}

export function startContainer(engine: Engine, service: string, address: string): Container {
  const described = engine.compose.services[service];
  if (described === undefined) throw new Error(`The compose file has no service ${service}.`);
  const [program = "", ...args] = commandOf(engine, described);
  if (program !== "node") throw new Error(`${service} does not run Node but ${program}.`);
  const child: Child = {
    name: `${service}-${address.split(".").at(-1)}`,
    command: process.execPath,
    args: args.map((arg) => (arg.endsWith(".ts") ? join(engine.program, arg) : arg)),
    env: { ...variablesOf(engine, described, address), ...beside(engine, service, address) },
    isolated: true,
    ready: () => isHealthy(healthUrl(engine, described).replace("127.0.0.1", address)),
  };
  return { ...supervise(child, { logFolder: join(engine.home, "logs"), onLine: () => {} }), address };
}

/** What the image sets itself, a folder that goes with the container; and a disk that is not held back, since this one is not a Mac's. */
const beside = ({ home }: Engine, service: string, address: string) => ({
  DROVER_HOME: join(home, `${service}-${address}`),
  SYSTEM_RESERVED_DISK: "0",
});

/** The address that the image's health check asks. */
export function healthUrl({ stages }: Engine, { build }: Service): string {
  const text = stepsOf(stages, build?.target ?? "").findLast(({ word }) => word === "HEALTHCHECK")?.text ?? "";
  return /http:\/\/[\w.:/]+/.exec(text)?.[0] ?? "";
}

const isHealthy = (url: string): Promise<boolean> =>
  fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
    ({ ok }) => ok,
    () => false,
  );
