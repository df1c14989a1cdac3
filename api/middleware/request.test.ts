import { Hono } from "hono";
import { expect, it } from "vitest";
import type { ApiEnv } from "../http.ts";
import { headsEnd } from "./request.ts";

it("ends a stream that was asked for by HEAD, and no other", async () => {
  const ended: string[] = [];
  const app = new Hono<ApiEnv>().use(headsEnd).get("/:name", (c) => {
    const cancel = () => void ended.push(c.req.param("name"));
    return c.body(new ReadableStream({ cancel }));
  });
  expect((await app.request("/head", { method: "HEAD" })).status).toBe(200);
  const read = await app.request("/get");
  expect(ended).toEqual(["head"]);
  await read.body?.cancel();
});
