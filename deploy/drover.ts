/**
 * The whole of Drover on one computer: the embedded stack, the hub's processes, and hosts that are enrolled like any other.
 *
 * The one idea: what starts here uses the doors that everybody uses. The first user is root with its kept password, and hosts come in by a token.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writePrivate } from "../cli/access/login-file.ts";
import { openSession } from "../cli/access/session.ts";
import { openClient, pathOf, type Client } from "../cli/client.ts";
import { EnrolmentToken, Host } from "../cli/wire.ts";
import { type Config, type Environment, readConfig } from "../domain/config/schema.ts";
import { unwrap } from "../domain/errors.ts";
import { locatePrlctl } from "../parallels/locate.ts";
import { enrolHere } from "../workers/enrol.ts";
import { openLog } from "../workers/log.ts";
import { randomWord } from "../security/secrets.ts";
import { type EmbeddedHost, embeddedHosts, hostChild, hostVariables, hubChildren, isEnrolled } from "./children.ts";
import { type Stack, startStack } from "./stack.ts";

export interface Drover {
  readonly stack: Stack;
  readonly hosts: readonly EmbeddedHost[];
  /** The API as root. */
  readonly client: Client;
  readonly passwordFile: string;
}

export interface DroverOptions {
  readonly config: Config;
  readonly env: Environment;
  readonly onLine: (line: string) => void;
}

export async function startDrover({ config, env, onLine }: DroverOptions): Promise<Drover> {
  const stack = await startStack({ config, env, onLine });
  try {
    const passwordFile = await keepPassword(config);
    await writePrivate(join(stack.home, "cli.json"), JSON.stringify({ url: config.api.url, username: "root", passwordFile }));
    await stack.start(hubChildren(config));
    const client = openClient(await openSession({ env: { DROVER_HOME: stack.home }, folder: stack.home }));
    const hosts = await startHosts(stack, client, { config, env, onLine });
    return { stack, hosts, client, passwordFile };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

/** Root's password lies in a file of mode 0600, so that `drover` on this computer needs no login: the configured one, else one made once. */
async function keepPassword({ home, security }: Config): Promise<string> {
  const file = join(home, "root-password");
  const kept = (await readFile(file, "utf8").catch(() => "")).trim();
  const password = security.rootPassword ?? (kept || randomWord(24));
  if (password !== kept) await writePrivate(file, password);
  return file;
}

async function startHosts(stack: Stack, client: Client, { config, env, onLine }: DroverOptions): Promise<EmbeddedHost[]> {
  const parallels = await locatePrlctl({ given: config.hosts.prlctl, path: env["PATH"] ?? "" });
  const hosts = embeddedHosts(config, parallels !== null);
  if (parallels === null && hosts.length > 0)
    onLine(`Parallels Desktop is not on this computer: ${hosts.map(({ name }) => name).join(" and ")} are simulated.`);
  for (const host of hosts) if (!(await isEnrolled(host))) await enrol(host, client, env);
  await stack.start(hosts.map((host) => hostChild(host, env, () => isOnline(client, host.name))));
  return hosts;
}

/** A folder that was deleted comes back as other hardware; the same hardware takes its old place. */
async function enrol(host: EmbeddedHost, client: Client, env: Environment): Promise<void> {
  const { token, url } = await client.send("POST", "/hosts/tokens", EnrolmentToken, { body: { hostName: host.name } });
  const config = unwrap(readConfig(hostVariables(host, env), host.home));
  await enrolHere({ config, log: openLog("enrol", "error") }, { url, token, replace: true });
}

async function isOnline(client: Client, name: string): Promise<boolean> {
  const host = await client.get(pathOf("hosts", name), Host).catch(() => null);
  return host?.state === "online";
}
