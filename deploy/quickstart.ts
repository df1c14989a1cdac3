/**
 * `npm run quickstart`: the whole stack, and the main job on it with real input, as the `drover` commands that anybody can copy.
 *
 * The one idea: nothing here is a shortcut. The job runs through the command line, the API, the workflows and the gateway, on a bundle with a real disk.
 */
import "./lifeline.ts";
import { aboutIgnored, loadConfig, main } from "./configuration.ts";
import { type Drover, startDrover } from "./drover.ts";
import { runJob } from "./job.ts";
import { endAsked, whereToLook } from "./terminal.ts";

const say = (line = "") => void process.stdout.write(`${line}\n`);

await main(async () => {
  const once = process.argv.includes("--once");
  const config = loadConfig();
  for (const line of aboutIgnored(config)) say(line);
  const asked = endAsked();
  const began = performance.now();
  say("Starting PostgreSQL, Temporal, the API, the hub worker, the host gateway and the hosts ...");
  const drover = await Promise.race([startDrover({ config, env: process.env, onLine: say }), asked]);
  if (!drover) return 1;
  say(`Ready after ${((performance.now() - began) / 1000).toFixed(1)} s.\n`);
  try {
    const ended = await Promise.race([job(drover), asked]);
    if (!ended) return 1;
    for (const line of ["", "Where to look next:", ...whereToLook(config, drover)]) say(line);
    if (once) return 0;
    say("\nThe stack stays up; Ctrl-C ends it.");
    await asked;
    return 0;
  } finally {
    say("Ending ...");
    await drover.stack.stop();
  }
});

async function job(drover: Drover): Promise<true> {
  const { lines, commands } = await runJob(drover, { say, env: process.env });
  for (const line of ["\nDone:", ...lines.map((done) => `  ${done}`)]) say(line);
  for (const line of ["\nThe same by hand:", ...commands.map((command) => `  ${command}`)]) say(line);
  return true;
}
