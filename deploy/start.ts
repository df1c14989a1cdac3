/**
 * `npm start`: the embedded stack on the data of last time, until Ctrl-C.
 *
 * The one idea: what runs is a list of children; this file only says where things are and waits for the end.
 */
import "./lifeline.ts";
import { aboutIgnored, loadConfig, main } from "./configuration.ts";
import { startStack } from "./stack.ts";

await main(async () => {
  const config = loadConfig();
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  for (const line of aboutIgnored(config)) say(line);
  const asked = endAsked();
  const began = performance.now();
  const stack = await Promise.race([startStack({ config, env: process.env, onLine: say, withApi: false }), asked]);
  // Asked to end before it began: the children end with this process, and the next start waits for them.
  if (!stack) return 1;
  say(`Ready after ${((performance.now() - began) / 1000).toFixed(1)} s. State: ${stack.home}`);
  say(`Temporal web UI: ${config.temporal.uiUrl ?? "of your own server"}`);
  say("Ctrl-C ends it.");
  await asked;
  say("Ending ...");
  await stack.stop();
  return 0;
});

/** Settles at the first signal that asks for the end. */
function endAsked(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
  return promise;
}
