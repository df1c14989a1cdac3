/** A push from the caller's own computer with nothing but an API key: the right to send the bundle comes from the operation, not from a login. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { openStack, ownServers, runCommand, type TestStack } from "./stack.ts";

const mebibyte = 1024 ** 2;
let stack: TestStack;
beforeAll(async () => {
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1" });
}, 180_000);
afterAll(() => stack?.close(), 60_000);

it("is done, and its image is there", async () => {
  const { url, session } = stack.client;
  const key = { name: "ci", key: "CI", secret: "a-secret-of-the-pipeline-9!" };
  const made = await fetch(`${url}/api/v1/auth/api_keys`, {
    method: "POST",
    headers: { ...(await session.headers()), "content-type": "application/json" },
    body: JSON.stringify(key),
  });
  expect(made.status).toBe(201);
  const sample = {
    folder: join(stack.home, "own"),
    name: "Own",
    bytes: 32 * mebibyte,
    contentBytes: 8 * mebibyte,
    path: "",
    content: "pattern",
  } as const;
  const { bundlePath } = await makeSampleBundle(sample);
  const token = Buffer.from(`${key.key}:${key.secret}`).toString("base64");
  const env = {
    ...stack.env,
    DROVER_URL: url,
    DROVER_TOKEN: token,
    DROVER_CONFIG_DIR: join(stack.home, "other"),
    DROVER_HOME: join(stack.home, "other"),
  };
  const pushed = await runCommand(["push", bundlePath, "own", "--version", "1", "--json"], env);
  expect(pushed.stderr).toBe("");
  expect(pushed.code).toBe(0);
  expect(JSON.parse(pushed.stdout)).toMatchObject({ verb: "push", state: "done", hostId: null });
  expect(await stack.json("image", "show", "own:1")).toMatchObject({ catalogId: "own" });
}, 180_000);
