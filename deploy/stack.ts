/**
 * The embedded stack: one home, PostgreSQL, Temporal, and the children that the composition adds, all ended together.
 *
 * The one idea: whatever the configuration replaces by a server of one's own is not started; children learn by environment variables where
 * everything is, so they are the same programs that `drover run` starts on computers of their own.
 */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config, Environment } from "../domain/config/schema.ts";
import { endOldPostgres, startPostgres } from "./embedded/postgres.ts";
import { endOldTemporal, startTemporal } from "./embedded/temporal.ts";
import { type Home, openHome } from "./home.ts";
import { assertPortsFree, type WantedPort } from "./ports.ts";
import { type Child, type Supervised, supervise } from "./supervisor.ts";
import { namesServer } from "./temporal-connection.ts";

export interface StackOptions {
  readonly config: Config;
  /** What the configuration was read from. */
  readonly env: Environment;
  readonly onLine: (line: string) => void;
  /** Whether the children that this computer's ports are for will be started here. */
  readonly withApi?: boolean;
}

export interface Stack {
  readonly home: string;
  /** What every child needs to know: addresses of the database, of Temporal and its web UI. */
  readonly env: Readonly<Record<string, string>>;
  /** Starts children side by side and returns when all are ready. They end before those started earlier. */
  readonly start: (children: readonly Child[]) => Promise<void>;
  /** Process ids by name, of the parts that live now. */
  readonly pids: () => Readonly<Record<string, number | null>>;
  readonly stop: () => Promise<void>;
}

/** A run that was killed leaves children that end by themselves: workers drain for 10 s, then it is over. */
const patienceMs = 15_000;

type Stages = Array<Map<string, Part>>;
type Variables = Record<string, string>;
type Part = Pick<Supervised, "stop" | "pid">;

export async function startStack(options: StackOptions): Promise<Stack> {
  const home = await openHome(options.config.home);
  const stages: Stages = [];
  // Ctrl-C during a start and after it, from the terminal and from the launcher: all wait for the same end.
  const stop = once(async () => {
    for (const stage of stages.toReversed()) await Promise.all([...stage.values()].map((part) => part.stop()));
    await home.release();
  });
  try {
    const env = await startParts(options, home, stages);
    return {
      home: home.folder,
      env,
      stop,
      pids: () => pidsOf(stages),
      start: (children) => startStage(children, { ...options, env: { ...given(options.env), ...env }, stages }),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startParts({ config, env, onLine, withApi = true }: StackOptions, home: Home, stages: Stages): Promise<Variables> {
  const codecPath = config.security.codecPath ?? (await keptSecret(join(home.folder, "codec-path")));
  const own = { postgres: config.database.url === undefined, temporal: !namesServer(env) };
  if (home.unclean) await endLeftovers(config, own);
  const ports = [
    ...(withApi ? apiPorts(config) : []),
    ...(own.postgres ? postgresPorts(config) : []),
    ...(own.temporal ? temporalPorts(config) : []),
  ];
  await assertPortsFree(ports, home.unclean ? patienceMs : 0);

  const databases = new Map<string, Part>();
  const servers = new Map<string, Part>();
  stages.push(databases, servers);
  const outcomes = await Promise.allSettled([
    own.postgres ? embeddedPostgres({ config, onLine, stage: databases }) : {},
    own.temporal ? embeddedTemporal({ config, onLine, stage: servers, codecPath, env }) : {},
  ]);
  const found: Variables = { DROVER_HOME: home.folder, DROVER_CODEC_PATH: codecPath };
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") throw outcome.reason;
    Object.assign(found, outcome.value);
  }
  return found;
}

interface PartOptions {
  readonly config: Config;
  readonly onLine: (line: string) => void;
  readonly stage: Map<string, Part>;
}

async function embeddedPostgres({ config, onLine, stage }: PartOptions): Promise<Variables> {
  const running = await startPostgres({ home: config.home, port: config.database.embeddedPort, onLine });
  stage.set("postgres", running);
  return { DATABASE_URL: running.url };
}

async function embeddedTemporal({
  config,
  onLine,
  stage,
  codecPath,
  env,
}: PartOptions & { codecPath: string; env: Environment }): Promise<Variables> {
  const { namespace, embeddedPort, embeddedUiPort } = config.temporal;
  const codecEndpoint = `${config.api.url}/codec/${codecPath}`;
  const ports = { grpc: embeddedPort, ui: embeddedUiPort };
  const running = await startTemporal({ home: config.home, ports, namespace, codecEndpoint, env, onLine });
  stage.set("temporal", running);
  const file = join(config.home, "temporal", "client.toml");
  // A file of our own, so that the user's file for other servers does not apply; Temporal's reader wants the section.
  await writeFile(file, "[profile.default]\n");
  return { TEMPORAL_ADDRESS: running.address, TEMPORAL_NAMESPACE: namespace, TEMPORAL_UI_URL: running.uiUrl, TEMPORAL_CONFIG_FILE: file };
}

/** What a killed supervisor left running holds our ports and data. */
async function endLeftovers({ home, temporal }: Config, own: { postgres: boolean; temporal: boolean }): Promise<void> {
  await Promise.all([own.postgres ? endOldPostgres(home) : null, own.temporal ? endOldTemporal(home, temporal.embeddedPort) : null]);
}

async function startStage(children: readonly Child[], { stages, env, onLine, config }: StackOptions & { env: Variables; stages: Stages }) {
  const logFolder = join(config.home, "logs");
  const started = children.map((child) =>
    supervise({ ...child, env: child.isolated === true ? (child.env ?? {}) : { ...env, ...child.env } }, { logFolder, onLine }),
  );
  stages.push(new Map(started.map((one) => [one.name, one])));
  await Promise.all(started.map((one) => one.ready));
}

function apiPorts({ api, gateway, health }: Config): WantedPort[] {
  const local = "127.0.0.1";
  return [
    { port: api.port, host: api.host, owner: "the API", variable: "API_PORT" },
    ...(api.tls ? [{ port: api.tls.port, host: api.host, owner: "the API over TLS", variable: "TLS_PORT" }] : []),
    { port: gateway.port, host: gateway.host, owner: "the host gateway", variable: "GATEWAY_PORT" },
    { port: gateway.grpcPort, host: gateway.host, owner: "the host gateway's gRPC", variable: "GATEWAY_GRPC_PORT" },
    { port: health.hubPort, host: local, owner: "the hub worker's health", variable: "HUB_HEALTH_PORT" },
    { port: health.gatewayPort, host: local, owner: "the gateway's health", variable: "GATEWAY_HEALTH_PORT" },
  ];
}

const postgresPorts = ({ database }: Config): WantedPort[] => [
  { port: database.embeddedPort, host: "127.0.0.1", owner: "PostgreSQL", variable: "POSTGRES_PORT" },
];

function temporalPorts({ temporal }: Config): WantedPort[] {
  const host = "127.0.0.1";
  return [
    { port: temporal.embeddedPort, host, owner: "Temporal", variable: "TEMPORAL_PORT" },
    { port: temporal.embeddedUiPort, host, owner: "the Temporal web UI", variable: "TEMPORAL_UI_PORT" },
  ];
}

const given = (env: Environment): Variables =>
  Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));

const pidsOf = (stages: Stages) => Object.fromEntries(stages.flatMap((stage) => [...stage].map(([name, part]) => [name, part.pid()])));

async function keptSecret(path: string): Promise<string> {
  const kept = (await readFile(path, "utf8").catch(() => "")).trim();
  if (kept !== "") return kept;
  const secret = randomBytes(18).toString("base64url");
  await writeFile(path, `${secret}\n`, { mode: 0o600 });
  return secret;
}

function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= work());
}
