/**
 * A stack whose hosts fall asleep: their processes are stopped, and what they hear of Temporal goes over a line that can be cut.
 *
 * The one idea: with that line cut, a zombie that wakes hears nothing from the server. What keeps it from acting is what it asks the hub, or the clock of its
 * own Temporal client, whichever is first.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import postgres from "postgres";
import { readIdentity, writeIdentity } from "../../activities/host/hub-link-identity.ts";
import { pathOf } from "../../cli/client.ts";
import { Host } from "../../cli/wire.ts";
import { simulatorOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { openLine, type Line } from "../lines/line.ts";

export interface Sleeper {
  readonly name: string;
  readonly id: string;
  readonly line: Line;
}
export interface Ground {
  readonly stack: TestStack;
  readonly hosts: readonly Sleeper[];
  readonly sql: postgres.Sql;
  close(): Promise<void>;
}

export async function openGround(hosts: number): Promise<Ground> {
  const sizes = { DROVER_SIMULATED_CPUS: "32" };
  const stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: String(hosts), ...sizes });
  const sql = postgres(stack.env["DATABASE_URL"] ?? "", { max: 3, onnotice: () => {} });
  const sleepers = await Promise.all(stack.hosts.map(({ name }) => overLine(stack, name)));
  const close = async () => {
    await sql.end({ timeout: 2 });
    // A stopped process ends by nothing but SIGKILL, and a line that is cut keeps it from saying goodbye.
    for (const { name, line } of sleepers) {
      line.mend();
      signal(stack, name, "SIGCONT");
    }
    await stack.close();
    await Promise.all(sleepers.map(({ line }) => line.close()));
  };
  return { stack, sql, hosts: sleepers, close };
}

export function signal(stack: TestStack, host: string, what: "SIGSTOP" | "SIGCONT" | "SIGTERM"): void {
  const pid = stack.stack.pids()[host];
  if (pid) process.kill(pid, what);
}

const logOf = (stack: TestStack, host: string): string => join(stack.home, "logs", `${host}.log`);

/** Events that a host's process has logged, with what they tell. */
export async function logged(stack: TestStack, host: string, event: string): Promise<Record<string, unknown>[]> {
  const lines = (await readFile(logOf(stack, host), "utf8")).split("\n").filter((line) => line.includes(`"${event}"`));
  return lines.map((line) => JSON.parse(line.slice(line.indexOf("{"))) as Record<string, unknown>);
}

export async function until(what: string, look: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
  for (const end = Date.now() + withinMs; !(await look()); await delay(100))
    if (Date.now() > end) throw new Error(`not within ${withinMs / 1000} s: ${what}`);
}

/** Gives the host another way to Temporal, and a `prlctl` that writes down what it is asked to do. */
async function overLine(stack: TestStack, name: string): Promise<Sleeper> {
  const path = join(stack.home, "hosts", name, "identity.json");
  const identity = await readIdentity(path);
  const [host = "", port = ""] = identity.grpcAddress.split(":");
  const line = await openLine({ host, port: Number(port) });
  await writeIdentity(path, { ...identity, grpcAddress: `${host}:${line.port}` });
  signal(stack, name, "SIGTERM");
  await until(`${name} works by its line`, async () => (await logged(stack, name, "host.started")).length > 1);
  const launcher = join(simulatorOf(stack, name), "bin", "prlctl");
  const script = await readFile(launcher, "utf8");
  await writeFile(`${launcher}.new`, script.replace("exec ", `echo "$1 $2" >> '${commandsOf(stack, name)}'\nexec `), { mode: 0o755 });
  await rename(`${launcher}.new`, launcher);
  return { name, id: (await stack.client.get(pathOf("hosts", name), Host)).id, line };
}

const commandsOf = (stack: TestStack, host: string): string => join(stack.home, `commands-${host}`);

/** Commands that changed something, as the verb and the machine. */
export async function changes(stack: TestStack, host: string): Promise<string[]> {
  const all = (await readFile(commandsOf(stack, host), "utf8").catch(() => "")).split("\n");
  return all.filter((line) => line !== "" && !/^(list|snapshot-list|--version|capture)\b/.test(line));
}
