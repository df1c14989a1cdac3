/** The workflow code is built once for the same sources. */
import { readFile, stat } from "node:fs/promises";
import type { Logger } from "@temporalio/worker";
import { expect, it } from "vitest";
import { workflowBundle } from "./bundle.ts";

const silent = () => undefined;
const logger: Logger = { log: silent, trace: silent, debug: silent, info: silent, warn: silent, error: silent };

it("is kept for the next start, whole and under one name", async () => {
  await workflowBundle(logger);
  const [one, two] = [await workflowBundle(logger), await workflowBundle(logger)];
  if (!("codePath" in one)) throw new Error("The bundle was built again.");
  expect(two).toEqual(one);
  expect(await readFile(one.codePath, "utf8")).toContain("provision");
  expect((await stat(one.codePath)).size).toBeGreaterThan(100_000);
}, 60_000);
