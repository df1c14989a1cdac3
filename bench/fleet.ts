/**
 * Many hosts in one process: the real host worker, real caches and bundles on disk, and a Parallels Desktop that lives in memory.
 *
 * The one idea: only the program that boots machines is left out, so what remains is what Drover costs. Its one argument is a `FleetAsk` as JSON.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { hostFacts } from "../activities/host/facts.ts";
import { enrol, writeIdentity } from "../activities/host/hub-link.ts";
import { readConfig } from "../domain/config/schema.ts";
import { unwrap } from "../domain/errors.ts";
import { serveHub } from "../workers/host.ts";
import { openLog } from "../workers/log.ts";
import { installRuntime } from "../workers/runtime.ts";
import { memoryParallels } from "./memory-parallels.ts";

export interface FleetAsk {
  readonly folder: string;
  readonly tokens: { readonly token: string; readonly url: string }[];
}

const { folder, tokens } = JSON.parse(process.argv[2] ?? "{}") as FleetAsk;
const log = openLog("fleet", "error", process.stderr);
const end = new AbortController();
process.stdin.resume().once("end", () => end.abort());
process.setMaxListeners(0);
await installRuntime(0, log);

const homes = tokens.map((_, index) => join(folder, `host-${index}`));
const opened = await Promise.all(homes.map((home) => memoryParallels(home)));
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
  const config = unwrap(readConfig({ DROVER_HOME: home, DROVER_SIMULATE: "true", CATALOG_CACHE_KEEP_FREE_DISK_SPACE: "0" }));
  await serveHub({ config, log, signal: end.signal }, identity, { metricsPort: null, open: async () => parallels });
});
process.stdout.write("ready\n");
await Promise.all(working);
process.exit(0);
