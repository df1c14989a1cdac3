/**
 * `npm run histories`: records the histories that are missing in `histories/<release>/`, for the replay tests.
 *
 * The one idea: a recorded history is never recorded again, since it stands for operations that may still run under the code that made it. Only
 * those of a release that nobody has yet may be made anew: `npm run histories -- --again`.
 */
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { historyToJSON } from "@temporalio/common/lib/proto-utils.js";
import { startTemporal } from "../../deploy/embedded/temporal.ts";
import { openHarness, type Harness } from "../workflows/harness.ts";
import { historiesFolder } from "./histories.ts";
import { nameOf, scenarios, type Scenario } from "./scenarios.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
/** At once: enough to hide the waiting between tries, few enough that nothing times out. */
const atOnce = 12;

/** Of no use to a replay, and told of the computer that recorded: names of processes, traces of files. */
const ofThisComputer = new Set(["identity", "stackTrace", "workerInstanceKey", "binaryChecksum"]);

async function record(harness: Harness, folder: string, scenario: Scenario): Promise<void> {
  const run = await scenario.play(harness);
  const history: unknown = JSON.parse(historyToJSON(await run.handle.fetchHistory()));
  const text = JSON.stringify(history, (key, value: unknown) => (ofThisComputer.has(key) ? "" : value));
  await writeFile(join(folder, nameOf(scenario)), `${text}\n`);
  process.stdout.write(`${nameOf(scenario)}\n`);
}

async function main(): Promise<void> {
  const folder = join(historiesFolder, version);
  if (process.argv.includes("--again")) await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const there = new Set(await readdir(folder));
  const missing = scenarios.filter((scenario) => !there.has(nameOf(scenario)));
  const home = await mkdtemp(join(tmpdir(), "drover-histories-"));
  const temporal = await startTemporal({ home, lasting: false });
  try {
    const harness = await openHarness(temporal.address);
    const next = missing.values();
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (const scenario of next) await record(harness, folder, scenario);
      }),
    );
    await harness.close();
  } finally {
    await temporal.stop();
    await rm(home, { recursive: true, force: true });
  }
  process.stdout.write(`${missing.length} recorded, ${there.size} were there.\n`);
}

await main();
