/**
 * The production shape on one computer: two of each process of the compose file behind a balancer, a PostgreSQL and a Temporal that were there before,
 * the store of the compose file, and two hosts that were enrolled as an operator does it.
 */
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { inject } from "vitest";
import { logIn } from "../../cli/access/log-in.ts";
import { openSession } from "../../cli/access/session.ts";
import { type Client, openClient, pathOf } from "../../cli/client.ts";
import { Host } from "../../cli/wire.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";
import { startTemporal } from "../../deploy/embedded/temporal.ts";
import { freePorts } from "../../deploy/ports.ts";
import { type Supervised, supervise } from "../../deploy/supervisor.ts";
import { runCommand } from "../e2e/stack.ts";
import { weedBinary } from "../stores/s3-server.ts";
import { balance, type Balancer } from "./balancer.ts";
import { commandOf, type Container, type Engine, startContainer, variablesOf } from "./containers.ts";
import { openCompose, readEnv, root } from "./compose.ts";
import { readStages } from "./dockerfile.ts";

export interface Production {
  readonly home: string;
  readonly apis: readonly [Container, Container];
  readonly gateways: readonly [Container, Container];
  readonly hubs: readonly [Container, Container];
  readonly balancers: { readonly api: Balancer; readonly gateway: Balancer };
  /** The hub as clients see it, through the balancer, and one API of the two. */
  readonly client: Client;
  readonly clientOf: (api: Container) => Promise<Client>;
  readonly databaseUrl: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs `drover` as a person on a computer of their own. */
  drover(...words: string[]): Promise<string>;
  close(): Promise<void>;
}

export interface Servers {
  readonly databaseUrl: string;
  readonly temporalAddress: string;
}

/** Addresses of one run: nobody else's, so that ports can be those of the file. */
export function chooseNet(): (last: number) => string {
  const [second, third] = [64 + Math.floor(Math.random() * 60), 1 + Math.floor(Math.random() * 250)];
  return (last) => `127.${second}.${third}.${last}`;
}

export type Ends = Array<() => Promise<unknown>>;

export interface Opening {
  /** Finds the secrets in the home and tells where PostgreSQL and Temporal are; what it started, it ends by `ends`. */
  readonly servers?: (home: string, ends: Ends) => Promise<Servers>;
  /** The folder whose programs run. */
  readonly program?: string;
}

export async function openProduction(opening: Opening = {}): Promise<Production> {
  const home = await mkdtemp(join(tmpdir(), "drover-production-"));
  await chmod(home, 0o711);
  const ends: Ends = [() => rm(home, { recursive: true, force: true })];
  const close = async () => {
    for (const end of ends.toReversed()) await end();
  };
  try {
    return { ...(await startAll(home, opening, ends)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startAll(home: string, { servers = ownServers, program = root }: Opening, ends: Ends): Promise<Omit<Production, "close">> {
  const at = chooseNet();
  const front = at(1);
  await promisify(execFile)("sh", [join(root, "deploy/compose/make-secrets.sh"), join(home, "secrets")]);
  const { databaseUrl, temporalAddress } = await servers(home, ends);
  await chmod(join(home, "secrets/database-url"), 0o600);
  await writeFile(join(home, "secrets/database-url"), databaseUrl);
  const answers = { HUB_NAME: front, DROVER_URL: `http://${front}:3080`, STORE_URL: `http://${at(5)}:8333` };
  const [compose, stages] = await Promise.all([
    openCompose({ ...(await readEnv(".env.example")), ...answers, LOG_LEVEL: "warn" }),
    readStages(),
  ]);
  const engine: Engine = { compose, stages, program, home, places: { "temporal:7233": temporalAddress } };

  await Promise.all([startStore(engine, at(5), ends), runTask(engine, "temporal-namespace")]);
  const all = [11, 12].map((last) => startContainer(engine, "hub", at(last)));
  all.push(...[21, 22].map((last) => startContainer(engine, "gateway", at(last))));
  all.push(...[31, 32].map((last) => startContainer(engine, "api", at(last))));
  ends.push(() => Promise.all(all.map(({ stop }) => stop())));
  await Promise.all(all.map(({ ready }) => ready));
  const pairOf = (service: string): [Container, Container] => {
    const [one, two] = all.filter(({ name }) => name.startsWith(service));
    if (one === undefined || two === undefined) throw new Error(`There are no two of ${service}.`);
    return [one, two];
  };
  const [apis, gateways, hubs] = [pairOf("api"), pairOf("gateway"), pairOf("hub")];
  const balancers = await balanced(front, apis, gateways, ends);

  const password = (await readFile(join(home, "secrets/root-password"), "utf8")).trim();
  const { token } = await logIn(answers.DROVER_URL, { username: "root", password });
  const clientAt = async (url: string) => openClient(await openSession({ env: { DROVER_URL: url, DROVER_TOKEN: token }, folder: home }));
  const client = await clientAt(answers.DROVER_URL);
  const env = { PATH: process.env["PATH"], HOME: home, DROVER_URL: answers.DROVER_URL, DROVER_TOKEN: token };
  const drover = async (...words: string[]) => {
    const { code, stdout, stderr } = await runCommand(words, env);
    if (code !== 0) throw new Error(`drover ${words.join(" ")} ended with ${code}:\n${stderr}${stdout}`);
    return stdout;
  };
  await Promise.all(["mac-1", "mac-2"].map((name) => startHost({ home, name, client, drover, ends })));
  return {
    home,
    apis,
    gateways,
    hubs,
    balancers,
    client,
    clientOf: ({ address }) => clientAt(`http://${address}:3080`),
    databaseUrl,
    env,
    drover,
  };
}

/** A database of its own, and a second Temporal development server whose namespace nobody prepared. */
async function ownServers(home: string, ends: Ends): Promise<Servers> {
  const [databaseUrl, temporal] = await Promise.all([
    createDatabase(inject("databaseUrl")),
    startTemporal({ home, lasting: false, namespace: "elsewhere" }),
  ]);
  ends.push(temporal.stop);
  return { databaseUrl, temporalAddress: temporal.address };
}

async function balanced(
  address: string,
  apis: readonly Container[],
  gateways: readonly Container[],
  ends: Ends,
): Promise<Production["balancers"]> {
  const to = (port: number, targets: readonly Container[]) => balance({ address, port, targets: targets.map((one) => one.address) });
  const [api, gateway, grpc] = await Promise.all([to(3080, apis), to(3443, gateways), to(3444, gateways)]);
  ends.push(() => Promise.all([api, gateway, grpc].map((one) => one.close())));
  return { api, gateway: grpc };
}

/** A service that ends: it must end well. */
async function runTask(engine: Engine, name: string): Promise<void> {
  const service = engine.compose.services[name];
  if (service === undefined) throw new Error(`The compose file has no service ${name}.`);
  const [, file = "", ...args] = commandOf(engine, service);
  const env = { PATH: process.env["PATH"], ...variablesOf(engine, service, "127.0.0.1") };
  await promisify(execFile)(process.execPath, [join(engine.program, file), ...args], { env });
}

/** The store with the arguments of the compose file, in a folder here, and its bucket by the file's own task. */
async function startStore(engine: Engine, address: string, ends: Ends): Promise<void> {
  const [binary, folder] = [await weedBinary(), join(engine.home, "images")];
  await promisify(execFile)("mkdir", [folder]);
  const args = (engine.compose.services["store"]?.command ?? []).map((arg) =>
    arg.replace(/=(127\.0\.0\.1|0\.0\.0\.0)$/, `=${address}`).replace("/run/secrets/", `${join(engine.home, "secrets")}/`),
  );
  // It makes sockets in /tmp named by its ports, which a container has for itself: two stores here would talk to each other's parts.
  const names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port.grpc"];
  const ports = await freePorts(names.length);
  const own = names.map((name, index) => `-${name}=${ports[index]}`);
  own.push(...["s3", "filer"].map((part) => `-${part}.localSocket=${join(engine.home, part)}.sock`));
  const store = supervise(
    {
      name: "store",
      command: binary,
      // What the image's entry adds, for a small computer.
      args: [...args, `-dir=${folder}`, "-volume.max=64", "-master.volumeSizeLimitMB=256", ...own],
      cwd: folder,
      guardedBy: "SIGKILL",
      ready: async () => (await fetch(`http://${address}:8333/healthz`).catch(() => null))?.ok ?? false,
    },
    { logFolder: join(engine.home, "logs"), onLine: () => {} },
  );
  ends.push(store.stop);
  await store.ready;
  const script = (await readFile(join(root, "deploy/compose/store-bucket.sh"), "utf8")).replaceAll(
    "127.0.0.1:9333",
    `${address}:${ports[0]}.${ports[1]}`,
  );
  await promisify(execFile)("sh", ["-c", `weed() { ${binary} "$@"; }\n${script}`]);
}

interface HostStart {
  readonly home: string;
  readonly name: string;
  readonly client: Client;
  readonly drover: (...words: string[]) => Promise<string>;
  readonly ends: Ends;
}

/** A Mac that joins: the token from the hub, two commands, nothing else. */
async function startHost({ home, name, client, drover, ends }: HostStart): Promise<Supervised> {
  const folder = join(home, "hosts", name);
  const env = {
    HOME: home,
    DROVER_HOME: folder,
    DROVER_SIMULATE: "true",
    // A small computer's disk is not a Mac's: what is kept free on one would leave nothing here.
    CATALOG_CACHE_KEEP_FREE_DISK_SPACE: "0",
  };
  const { url, token } = JSON.parse(await drover("host", "token", name, "--json")) as { url: string; token: string };
  const { code, stderr } = await runCommand(["host", "enrol", url, token], { PATH: process.env["PATH"], ...env });
  if (code !== 0) throw new Error(`${name} was not enrolled: ${stderr}`);
  const host = supervise(
    {
      name,
      command: process.execPath,
      args: [join(root, "cli/main.ts"), "run", "host"],
      env,
      isolated: true,
      ready: async () => (await client.get(pathOf("hosts", name), Host).catch(() => null))?.state === "online",
    },
    { logFolder: join(home, "logs"), onLine: () => {} },
  );
  ends.push(host.stop);
  await host.ready;
  return host;
}
