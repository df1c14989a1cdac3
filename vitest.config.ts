/**
 * How tests run: real PostgreSQL and Temporal started once for all of them, each suite in a process of its own.
 *
 * The one idea: processes rather than threads, because native parts (Temporal's core, koffi) and working folders belong to a process.
 */
import { relative } from "node:path";
import { configDefaults, defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Areas whose suites take a minute or more, since each begins whole stacks. */
const long = /^tests\/(operate|e2e|holds|truth|production|security|stores|care)\//;

/** The long suites first: one that began last would be waited for alone. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const usual = await super.sort(files);
    const isLong = ({ moduleId, project }: TestSpecification) => long.test(relative(project.config.root, moduleId));
    return [...usual.filter(isLong), ...usual.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: [...configDefaults.exclude, ".drover/**", "coverage/**", "tests/long/**"],
    globalSetup: ["tests/environment.ts"],
    reporters: ["default", "./tests/closing-line.ts"],
    pool: "forks",
    sequence: { sequencer: LongFirst },
    // One suite waits for its servers while the others compute, on the two cores of a small computer.
    maxWorkers: 3,
    // A step of a workflow test takes milliseconds; on a loaded computer whose disk others wait for, seconds. More than a minute is a hang.
    testTimeout: 60_000,
    // A first suite bundles workflows and makes a database.
    hookTimeout: 180_000,
    teardownTimeout: 20_000,
  },
});
