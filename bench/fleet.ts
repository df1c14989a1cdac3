/**
 * Many hosts in one process: the real host worker, real caches and bundles on disk, and a Parallels Desktop that lives in memory.
 *
 * The one idea: only the program that boots machines is left out, so what remains is what Drover costs. Its one argument is a `FleetAsk` as JSON. Where the
 * simulated program is wanted after all, each of its processes is written down, from its start to its end.
 */
import { appendFileSync } from "node:fs";
import type { ChildProcess } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { hostFacts, type FactSources } from "../activities/host/facts.ts";
import { enrol, writeIdentity } from "../activities/host/hub-link.ts";
import { readConfig } from "../domain/config/schema.ts";
import { unwrap } from "../domain/errors.ts";
import { controlSimulator, usualControl } from "../parallels/simulator/control.ts";
import { serveHub } from "../workers/host.ts";
import { openLog } from "../workers/log.ts";
import { openParallels } from "../workers/parallels.ts";
import { installRuntime } from "../workers/runtime.ts";
import { memoryParallels } from "./memory-parallels.ts";

export interface FleetAsk {
  readonly folder: string;
  readonly tokens: { readonly token: string; readonly url: string }[];
  /** Where the processes of a simulated Parallels Desktop are written down: begin, end (ms of Unix time) and words of each. */
  readonly commandsLog?: string;
}

const { folder, tokens, commandsLog } = JSON.parse(process.argv[2] ?? "{}") as FleetAsk;
const log = openLog("fleet", "error", process.stderr);
const end = new AbortController();
process.stdin.resume().once("end", () => end.abort());
process.setMaxListeners(0);
await installRuntime(0, log);

const now = () => performance.timeOrigin + performance.now();
const configOf = (home: string) =>
  unwrap(readConfig({ DROVER_HOME: home, DROVER_SIMULATE: "true", CATALOG_CACHE_KEEP_FREE_DISK_SPACE: "0" }));

/** Its machines boot in no time. */
async function simulated(home: string, commands: string): Promise<FactSources> {
  const parallels = await openParallels(configOf(home), log);
  controlSimulator(join(home, "simulator"), { times: Object.fromEntries(Object.keys(usualControl.times).map((name) => [name, 0])) });
  subscribe("child_process", (message) => {
    const { process: child } = message as { process: ChildProcess };
    const began = now();
    child.once("close", () => appendFileSync(commands, `${began} ${now()} ${child.spawnargs.slice(1).join(" ")}\n`));
  });
  return parallels;
}

const homes = tokens.map((_, index) => join(folder, `host-${index}`));
const opened = await Promise.all(homes.map((home) => (commandsLog === undefined ? memoryParallels(home) : simulated(home, commandsLog))));
const identities = [];
for (const [index, { token, url }] of tokens.entries()) {
  const [home, parallels] = [homes[index], opened[index]];
  if (home === undefined || !parallels) continue;
  const identity = await enrol({ url, token, facts: await hostFacts(parallels), replace: false });
  await writeIdentity(join(home, "identity.json"), identity);
  identities.push({ home, parallels, identity });
}
const working = identities.map(async ({ home, parallels, identity }) => {
  await mkdir(join(home, "host"), { recursive: true });
  await serveHub({ config: configOf(home), log, signal: end.signal }, identity, { metricsPort: null, open: async () => parallels });
});
process.stdout.write("ready\n");
await Promise.all(working);
process.exit(0);
