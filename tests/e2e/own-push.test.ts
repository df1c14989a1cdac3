/**
 * A push from the caller's own computer with nothing but an API key: the right to send the bundle comes from the operation, not from a login. Who asked for it
 * by a webhook is told of its end.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { openReceiver, type Receiver } from "../webhooks/receiver.ts";
import { openStack, ownServers, runCommand, type TestStack } from "./stack.ts";

const mebibyte = 1024 ** 2;
let stack: TestStack;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await openReceiver();
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1", DROVER_WEBHOOK_ALLOW: "127.0.0.1" });
}, 180_000);
afterAll(async () => {
  await stack?.close();
  await receiver.close();
}, 60_000);

it("is done, and its image is there", async () => {
  const { url, session } = stack.client;
  const key = { name: "ci", key: "CI", secret: "a-secret-of-the-pipeline-9!" };
  const made = await fetch(`${url}/api/v1/auth/api_keys`, {
    method: "POST",
    headers: { ...(await session.headers()), "content-type": "application/json" },
    body: JSON.stringify(key),
  });
  expect(made.status).toBe(201);
  await stack.json("webhook", "add", "ci", "--url", receiver.url(), "--event", "operation.done", "--event", "image.*");
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
  const told = () => new Set(receiver.received.map(({ headers }) => headers["drover-webhook-event"]));
  await expect.poll(told, { timeout: 60_000 }).toEqual(new Set(["image.published", "operation.done"]));
  expect(receiver.received).toHaveLength(2);
}, 180_000);
