/**
 * A program like `npm start`, of PostgreSQL and Temporal alone: what suites about starting and ending need, without the hub's processes.
 *
 * It uses the same launcher, configuration and stack, so whatever it guarantees, `npm start` does.
 */
import "../../deploy/lifeline.ts";
import { loadConfig, main } from "../../deploy/configuration.ts";
import { startStack } from "../../deploy/stack.ts";

await main(async () => {
  const asked = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => resolve());
  });
  const onLine = (line: string) => void process.stdout.write(`${line}\n`);
  const stack = await startStack({ config: loadConfig(), env: process.env, onLine, withApi: false });
  onLine("Ready after a start.");
  await asked;
  await stack.stop();
  return 0;
});
