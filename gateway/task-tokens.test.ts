/** Tasks belong to whoever polled them; an empty answer is no task. */
import { randomBytes } from "node:crypto";
import proto from "@temporalio/proto";
import { describe, expect, it } from "vitest";
import type { KeyRing } from "../security/key-ring.ts";
import { taskTokens } from "./task-tokens.ts";
import { temporalMethods, type FrontOptions } from "./temporal-methods.ts";

const key = { id: "k", secret: randomBytes(32), public: null, createdAt: new Date() };
const ring: KeyRing = { current: async () => key, find: async () => key, all: async () => [key] };
const tokens = taskTokens(ring);
const caller = { kind: "host", hostId: "a", session: "s" } as const;
const { PollActivityTaskQueueResponse, RespondActivityTaskCompletedRequest } = proto.temporal.api.workflowservice.v1;

/** A server that has no task for anybody. */
const idle = {
  namespace: "n",
  tokens,
  connection: { workflowService: { pollActivityTaskQueue: async () => PollActivityTaskQueueResponse.decode(new Uint8Array()) } },
  rules: { owns: () => true, check: async () => undefined, isDisplaced: async () => false },
  border: { toHost: async () => undefined, fromHost: async () => undefined },
} as unknown as FrontOptions;

describe("a long poll", () => {
  it("that ends without a task answers as the server did", async () => {
    const signal = new AbortController().signal;
    const answer = await temporalMethods(idle)["PollActivityTaskQueue"]?.run({ taskQueue: { name: "q" } }, caller, signal);
    expect(answer).toMatchObject({ taskToken: expect.toSatisfy((token: ArrayLike<number>) => token.length === 0) });
  });
});

describe("a task's token", () => {
  it("opens for its holder alone, and an empty one for nobody", async () => {
    const token = randomBytes(40);
    const bound = await tokens.bind("host:a", token);
    expect(Buffer.from(await tokens.release("host:a", bound))).toEqual(token);
    await expect(tokens.release("host:b", bound)).rejects.toMatchObject({ fault: { code: "forbidden" } });
    const empty = RespondActivityTaskCompletedRequest.decode(new Uint8Array());
    const completed = temporalMethods(idle)["RespondActivityTaskCompleted"];
    await expect(completed?.run(empty, caller, new AbortController().signal)).rejects.toMatchObject({ fault: { code: "forbidden" } });
  });
});
