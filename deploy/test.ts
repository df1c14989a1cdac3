/**
 * `npm test`: the checks, then all tests, then one closing line over both. `npm run test:long` (`--long`) runs the long tests instead, without checks.
 *
 * The one idea: everything runs even when something before it failed, so one run shows all that is wrong; the last line is always the count.
 * With CI=true and root, where everything can be installed, a skipped test is a failure.
 */
import "./lifeline.ts";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { closingLine, type Counts } from "../tests/closing-line.ts";
import { main } from "./configuration.ts";
import { ensureSystemPackages } from "./system-packages.ts";

const Counted = z.object({ passed: z.number(), failed: z.number(), skipped: z.number() });

const checks: ReadonlyArray<readonly [string, ...string[]]> = [
  ["tsc", "--noEmit"],
  ["oxlint", "--deny-warnings"],
  ["oxfmt", "--check"],
  ["knip"],
];

await main(async () => {
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const long = process.argv[2] === "--long";
  const filters = process.argv.slice(long ? 3 : 2);
  const due = long || filters.length > 0 ? [] : checks;
  await ensureSystemPackages(say);
  let failedChecks = 0;
  for (const [command, ...args] of due) {
    say(`> ${[command, ...args].join(" ")}`);
    if ((await exitCode(command, args, {})) !== 0) failedChecks += 1;
  }
  const tests = await runTests(long ? ["--config", "vitest.long.config.ts", ...filters] : filters);
  const strict = process.env["CI"] === "true" && process.getuid?.() === 0;
  if (strict && tests.skipped > 0) say(`${tests.skipped} skipped tests count as failures here (CI=true and root).`);
  const total = {
    passed: tests.passed + due.length - failedChecks,
    failed: tests.failed + failedChecks + (strict ? tests.skipped : 0),
    skipped: tests.skipped,
  };
  say(closingLine(total));
  return total.failed === 0 ? 0 : 1;
});

async function runTests(filters: readonly string[]): Promise<Counts> {
  const folder = await mkdtemp(join(tmpdir(), "drover-counts-"));
  const file = join(folder, "counts.json");
  try {
    const code = await exitCode("vitest", ["run", ...filters], { DROVER_TEST_COUNTS: file });
    const counts = Counted.safeParse(JSON.parse(await readFile(file, "utf8").catch(() => "null"))).data ?? {
      passed: 0,
      failed: 1,
      skipped: 0,
    };
    // A run can fail beside its tests, as when no file has one.
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function exitCode(command: string, args: readonly string[], env: Record<string, string>): Promise<number> {
  const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  process.on("SIGTERM", pass);
  const { promise, resolve } = Promise.withResolvers<number>();
  child.on("error", (error) => {
    process.stderr.write(`${command}: ${error.message}\n`);
    resolve(1);
  });
  child.on("exit", (code) => resolve(code ?? 1));
  return promise.finally(() => process.off("SIGTERM", pass));
}
