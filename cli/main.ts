/**
 * The `drover` command: composition root of the command line.
 *
 * The one idea: nothing is loaded before it is needed. A command that asks the hub never loads Temporal, and one that prints a version loads nothing.
 */
import "../deploy/lifeline.ts";
import type { Config } from "../domain/config/schema.ts";
import { factsOf, FaultError, unwrap, type Fault } from "../domain/errors.ts";
import type { Running } from "../workers/process.ts";
import { openContext } from "./context.ts";
import type { BundleReport, Enrolment, MacFacts, Parts, ProcessName, Serving } from "./parts.ts";
import { runCommand } from "./program.ts";

/** Secrets may lie in files; whoever has no such variable does not pay for the table of them. */
const env = Object.keys(process.env).some((name) => name.endsWith("_FILE"))
  ? (await import("../deploy/configuration.ts")).environment()
  : process.env;

const parts: Parts = {
  version: async () => (await import("../workers/version.ts")).version,
  inspectBundle: async (path) => reportOf(await (await import("../images/inspect.ts")).inspectBundle(path)),
  serveCaller,
  enrol,
  runProcess,
  start: async () => void (await import("../deploy/start.ts")),
  setupTemporal,
  temporalCommands: async () => {
    const { setupCommands } = await import("../deploy/temporal-setup.ts");
    const { namespace, address } = (await readConfig()).temporal;
    return setupCommands(namespace, address);
  },
  keys: () => ({
    show: async () => (await keyTools()).show(),
    rotate: async (key) => (await keyTools()).rotate(key),
    read: async () => (await keyTools()).read(),
    take: async (key) => (await keyTools()).take(key),
    forget: async () => (await keyTools()).forget(),
  }),
  service: () => ({
    file: async (user) => (await serviceHere()).file(user),
    install: async (user) => (await serviceHere()).install(user),
    uninstall: async () => (await serviceHere()).uninstall(),
  }),
  reset: async () => (await import("../deploy/reset.ts")).reset((await readConfig()).home),
  findTool: async (name) => (await import("../parallels/locate.ts")).findExecutable(name, env["PATH"] ?? ""),
  prlctl: async () => (await located())?.prlctlPath ?? null,
  macFacts,
};

async function readConfig(): Promise<Config> {
  return unwrap((await import("../domain/config/schema.ts")).readConfig(env, process.cwd()));
}

const keyTools = async () => (await import("../deploy/keys.ts")).keyTools(await readConfig());

const serviceHere = async () => (await import("../deploy/service/here.ts")).serviceHere({ config: await readConfig(), env });

async function macFacts(): Promise<MacFacts | null> {
  if (process.platform !== "darwin") return null;
  const [{ macFacts: gather }, paths, config] = await Promise.all([import("../deploy/service/mac-facts.ts"), located(), readConfig()]);
  return gather(paths?.prlsrvctlPath ?? null, config.home);
}

async function located() {
  const { locatePrlctl } = await import("../parallels/locate.ts");
  return locatePrlctl({ given: (await readConfig()).hosts.prlctl, path: env["PATH"] ?? "" });
}

function reportOf({ refusals, ...facts }: { readonly refusals: readonly Fault[] }): BundleReport {
  return { facts, refusals: refusals.map(({ code, message }) => ({ code, message, remedy: factsOf(code).remedy })) };
}

async function setupTemporal(): Promise<string[]> {
  const { Connection } = await import("@temporalio/client");
  const { namesServer, temporalTarget } = await import("../deploy/temporal-connection.ts");
  const { setupNamespace } = await import("../deploy/temporal-setup.ts");
  const embedded = { TEMPORAL_ADDRESS: `127.0.0.1:${(await readConfig()).temporal.embeddedPort}` };
  const { options, namespace } = temporalTarget(namesServer(env) ? env : { ...env, ...embedded });
  const connection = await Connection.connect(options).catch((cause: unknown) => {
    const remedy = "Start that server, name another one with TEMPORAL_ADDRESS, or start the embedded one with `drover start`.";
    throw new FaultError(
      { code: "part_failed", message: `No Temporal server answers at ${options.address ?? "its address"}.`, details: { remedy } },
      { cause },
    );
  });
  return setupNamespace(connection, namespace).finally(() => connection.close());
}

/** The same link that a host has, with the right to one operation. */
async function serveCaller({ client, operationId, token, signal }: Serving): Promise<void> {
  const [{ openHubLink }, { serveCaller: serve }, { installRuntime }, { Gateway }, { useProxies }] = await Promise.all([
    import("../activities/host/hub-link.ts"),
    import("../workers/caller.ts"),
    import("../workers/runtime.ts"),
    import("./wire.ts"),
    import("../stores/proxies.ts"),
  ]);
  useProxies(env);
  const { url, ...gateway } = await client.get("/gateway", Gateway);
  const log = await quietLog();
  await installRuntime(0, log);
  const link = await openHubLink({ ...gateway, hubUrl: url, token: async () => token }, { log });
  const paths = await located();
  const prlctl = paths === null ? null : (await import("../parallels/prlctl.ts")).openPrlctl(paths);
  await serve({ link, operationId, prlctl, log, signal }).finally(() => link.close());
}

async function enrol(enrolment: Enrolment): Promise<{ name: string; hostId: string; identityFile: string }> {
  const { enrolHere } = await import("../workers/enrol.ts");
  return enrolHere({ config: await readConfig(), log: await quietLog() }, enrolment);
}

/** Standard error is for what a command says; what its parts log is for whoever looks for a fault. */
async function quietLog() {
  const [{ destination }, { openLog }] = await Promise.all([import("pino"), import("../workers/log.ts")]);
  return openLog("drover", env["DROVER_DEBUG"] === "1" ? "debug" : "silent", destination(2));
}

const programs: Readonly<Record<ProcessName, () => Promise<(running: Running) => Promise<void>>>> = {
  api: async () => (await import("../api/main.ts")).runApi,
  hub: async () => (await import("../workers/hub.ts")).runHub,
  gateway: async () => (await import("../workers/gateway.ts")).runGateway,
  host: async () => (await import("../workers/host.ts")).runHost,
};

/** Each process is a function of its configuration, a log and a signal; it ends this one when it ends. */
async function runProcess(name: ProcessName): Promise<void> {
  const { runProcess: run } = await import("../workers/process.ts");
  const program = await programs[name]();
  await run(name, program);
}

const context = openContext({
  env,
  folder: process.cwd(),
  streams: { out: process.stdout, err: process.stderr, in: process.stdin },
  parts,
  onSignal: (names, handler) => {
    for (const name of names) process.on(name, handler);
    return () => {
      for (const name of names) process.off(name, handler);
    };
  },
});

// A reader that closed the pipe, such as `head`, has seen what it wanted.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
}
const exitCode = await runCommand(context, process.argv.slice(2));
// A process that goes on (`drover run`, `drover start`) says so by `null` and ends itself.
if (exitCode !== null) process.exitCode = exitCode;
