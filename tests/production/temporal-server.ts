/**
 * Temporal as production runs it: the server and its schema tool built from their Go modules, on a PostgreSQL, with the compose file's own variables,
 * schema script and dynamic configuration.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import postgres from "postgres";
import { startPostgres } from "../../deploy/embedded/postgres.ts";
import { portAnswers } from "../../deploy/ports.ts";
import { type Supervised, supervise } from "../../deploy/supervisor.ts";
import { openCompose, readEnv, root, type Service } from "./compose.ts";
import { chooseNet, type Ends, type Servers } from "./stack.ts";

const run = promisify(execFile);
const cache = join(root, "node_modules/.cache/drover");
/** The one that the module asks for. */
const toolchain = "go1.26.10";
/** Some minutes on two cores, with all modules still to fetch. */
const buildMs = 40 * 60_000;

export interface Binaries {
  readonly folder: string;
  readonly server: string;
}

/** Built once, of the release that the compose file runs. */
export async function temporalBinaries(version: string): Promise<Binaries> {
  const folder = join(cache, `temporal-server-${version}`);
  const found = { folder, server: join(folder, "temporal-server") };
  if (await stat(found.server).catch(() => null)) return found;
  const aside = `${folder}.${process.pid}`;
  await mkdir(aside, { recursive: true });
  const env = { ...process.env, GOBIN: aside, GOTOOLCHAIN: toolchain };
  for (const [program, name] of [
    ["cmd/tools/sql", "temporal-sql-tool"],
    ["cmd/server", "temporal-server"],
  ] as const) {
    await run("nice", ["-n", "15", "go", "install", `go.temporal.io/server/${program}@v${version}`], { env, timeout: buildMs });
    await rename(join(aside, program.split("/").at(-1) ?? ""), join(aside, name));
  }
  await rename(aside, folder);
  return found;
}

export interface TemporalOnPostgres extends Servers {
  readonly version: string;
  readonly server: Supervised;
  /** What the schema script said when it was run a second time. */
  readonly secondSchemaRun: string;
  /** What the server says about the dynamic configuration: nothing, when it knows every key. */
  readonly configRemarks: string;
}

export async function startTemporalOnPostgres(home: string, ends: Ends): Promise<TemporalOnPostgres> {
  const compose = await openCompose({ ...(await readEnv(".env.example")), SECRETS_FOLDER: join(home, "secrets") });
  const { "temporal-schema": schema, temporal } = compose.services;
  if (schema === undefined || temporal === undefined) throw new Error("The compose file has no Temporal.");
  const version = temporal.image.split(":")[1] ?? "";
  const [binaries, database] = await Promise.all([temporalBinaries(version), startPostgres({ home, onLine: () => {} })]);
  ends.push(database.stop);
  const databaseUrl = await prepareDatabases(database.url, home);
  const port = new URL(database.url).port;
  const prepare = () => prepareSchema(schema, { home, port, binaries });
  await prepare();
  const secondSchemaRun = await prepare();
  const { stdout: configRemarks } = await run(binaries.server, ["validate-dynamic-config", "deploy/temporal/dynamic-config.yaml"], {
    cwd: root,
  });
  const address = chooseNet()(40);
  const env = await serverVariables(temporal, { home, port, address });
  const server = supervise(
    {
      name: "temporal",
      command: binaries.server,
      args: ["start"],
      cwd: home,
      env,
      isolated: true,
      guardedBy: "SIGTERM",
      ready: () => portAnswers(`${address}:7233`),
    },
    { logFolder: join(home, "logs"), onLine: () => {} },
  );
  ends.push(server.stop);
  await server.ready;
  return { databaseUrl, temporalAddress: `${address}:7233`, version, server, secondSchemaRun, configRemarks };
}

/** The script of the container, statement by statement: there is no psql here. The embedded server's own user has the name that Drover's has there. */
async function prepareDatabases(adminUrl: string, home: string): Promise<string> {
  const script = await readFile(join(root, "deploy/compose/postgres-init.sh"), "utf8");
  let text = (/<<'SQL'\n([\s\S]*)\nSQL/.exec(script)?.[1] ?? "").replaceAll(/\bdrover\b(?!-|_)/g, "hub");
  for (const [line, name = "", file = ""] of text.matchAll(/^\\set (\w+) `cat \/run\/secrets\/([\w-]+)`$/gm)) {
    const secret = (await readFile(join(home, "secrets", file.replace("hub-", "drover-")), "utf8")).trim();
    text = text.replace(line, "").replaceAll(`:'${name}'`, `'${secret}'`);
  }
  const sql = postgres(adminUrl, { max: 1, onnotice: () => {} });
  for (const statement of text.split(";").filter((one) => one.trim() !== "")) await sql.unsafe(statement);
  await sql.end();
  const password = (await readFile(join(home, "secrets/drover-database-password"), "utf8")).trim();
  const url = new URL(adminUrl);
  Object.assign(url, { username: "hub", password, pathname: "/hub" });
  return url.href;
}

interface Place {
  readonly home: string;
  readonly port: string;
}

async function prepareSchema(
  { environment, entrypoint = [] }: Service,
  { home, port, binaries }: Place & { binaries: Binaries },
): Promise<string> {
  const script = await readFile(join(root, "deploy/compose/temporal-schema.sh"), "utf8");
  const env = { ...environment, SQL_HOST: "127.0.0.1", SQL_PORT: port, PATH: `${binaries.folder}:/usr/bin:/bin` };
  const text = script.replaceAll("/run/secrets/", `${join(home, "secrets")}/`);
  const { stdout, stderr } = await run(entrypoint[0] ?? "", ["-c", text], { env });
  return `${stdout}${stderr}`;
}

async function serverVariables(
  { environment }: Service,
  { home, port, address }: Place & { address: string },
): Promise<Record<string, string>> {
  const password = (await readFile(join(home, "secrets/temporal-database-password"), "utf8")).trim();
  const here: Record<string, string> = {
    DB_PORT: port,
    POSTGRES_SEEDS: "127.0.0.1",
    DYNAMIC_CONFIG_FILE_PATH: join(root, "deploy/temporal/dynamic-config.yaml"),
    BIND_ON_IP: address,
    PROMETHEUS_ENDPOINT: `${address}:9090`,
  };
  return { ...environment, ...here, POSTGRES_PWD: password };
}
