/**
 * `npm start`: the whole stack on the data of last time, until Ctrl-C.
 *
 * The one idea: this file says where things are and waits for the end; what runs is decided by the composition.
 */
import "./lifeline.ts";
import { aboutIgnored, loadConfig, main } from "./configuration.ts";
import { startDrover } from "./drover.ts";
import { endAsked, whereToLook } from "./terminal.ts";

await main(async () => {
  const config = loadConfig();
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  for (const line of aboutIgnored(config)) say(line);
  const asked = endAsked();
  const began = performance.now();
  const drover = await Promise.race([startDrover({ config, env: process.env, onLine: say }), asked]);
  // Asked to end before it began: the children end with this process, and the next start waits for them.
  if (!drover) return 1;
  say(`Ready after ${((performance.now() - began) / 1000).toFixed(1)} s.`);
  for (const line of whereToLook(config, drover)) say(line);
  say("Ctrl-C ends it.");
  await asked;
  say("Ending ...");
  await drover.stack.stop();
  return 0;
});
