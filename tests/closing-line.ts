/**
 * The last line of a test run: how many passed, failed and were skipped.
 *
 * The one idea: what could not even be loaded counts as failed, so the line never looks better than the run.
 * `npm test` adds its checks to the numbers; it passes a file to write them to instead of printing the line here.
 */
import { writeFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const closingLine = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
    // Errors of a module or of a suite's hooks are reported beside its tests, which then never ran.
    const broken = modules.flatMap((module) => [module, ...module.children.allSuites()]).filter((one) => one.errors().length > 0);
    const count = (wanted: string) => states.filter((state) => state === wanted).length;
    const counts = { passed: count("passed"), failed: count("failed") + broken.length + errors.length, skipped: count("skipped") };
    const file = process.env["DROVER_TEST_COUNTS"];
    if (file === undefined) process.stdout.write(`${closingLine(counts)}\n`);
    else writeFileSync(file, JSON.stringify(counts));
  }
}
