/** Guarantees of the composition: what is configured elsewhere is not started, children learn where everything is, and end in order. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, inject, it } from "vitest";
import { startStack } from "../../deploy/stack.ts";
import type { Child } from "../../deploy/supervisor.ts";
import { readConfig } from "../../domain/config/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { living, ownPorts } from "./processes.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-stack-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Writes what it knows, and when it ends, to one file. */
function teller(name: string): Child {
  const told = join(folder, "told");
  const text = `echo "${name} $DROVER_HOME $TEMPORAL_ADDRESS $MORE" >> ${told}; trap 'echo "${name} ends" >> ${told}; exit 0' TERM; while :; do sleep 0.05; done`;
  const ready = async () => (await readFile(told, "utf8")).includes(name);
  return { name, command: "/bin/sh", args: ["-c", text], env: { MORE: "and more" }, ready };
}

it("starts neither database nor Temporal where others are named, and tells hosts nothing, and ends children in order", async () => {
  const home = join(folder, "home");
  const env = {
    DROVER_HOME: home,
    DATABASE_URL: inject("databaseUrl"),
    TEMPORAL_ADDRESS: inject("temporalAddress"),
    ...(await ownPorts()),
  };
  const stack = await startStack({ config: unwrap(readConfig(env)), env, onLine: () => {} });
  expect(Object.keys(stack.pids())).toEqual([]);
  await stack.start([teller("first")]);
  await stack.start([{ ...teller("second"), isolated: true }]);
  expect(Object.keys(stack.pids())).toEqual(["first", "second"]);
  await stack.stop();
  const told = (await readFile(join(folder, "told"), "utf8")).trim().split("\n");
  expect(told).toEqual([`first ${home} ${env.TEMPORAL_ADDRESS} and more`, "second   and more", "second ends", "first ends"]);
  expect(await living(folder)).toEqual([]);
});
