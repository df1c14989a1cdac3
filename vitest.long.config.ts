/**
 * The tests that take minutes to hours: every point of a crash, every fault of a line, two of each process.
 *
 * The one idea: they are measurements, so one suite runs at a time and has the computer to itself.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/long/**/*.test.ts"],
    globalSetup: ["tests/environment.ts"],
    reporters: ["verbose", "./tests/closing-line.ts"],
    pool: "forks",
    fileParallelism: false,
    // A test here is a whole campaign of hundreds of faults; each has its own, closer limits inside.
    testTimeout: 3 * 3_600_000,
    hookTimeout: 600_000,
    teardownTimeout: 60_000,
  },
});
