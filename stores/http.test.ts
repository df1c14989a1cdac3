/** A store that falls silent is told as away, before or in the middle of its answer; one that is slow is waited for. */
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { storeHttp } from "./http.ts";

const silentMs = 400;
const closing: Array<() => void> = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

async function asked(listener: RequestListener, body?: Uint8Array) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const http = storeHttp(silentMs);
  closing.push(
    () => http.close(),
    () => server.close(),
    () => server.closeAllConnections(),
  );
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pack?X-Amz-Signature=secret`;
  const method = body === undefined ? "GET" : "PUT";
  return http.send({ key: "packs/1", method, url, headers: {}, body, signal: new AbortController().signal });
}

describe("a request to a store", () => {
  it.each([
    { what: "a read", body: undefined },
    { what: "a write", body: new Uint8Array(1_000_000) },
  ])("says that the store is away when $what is never answered, and nothing of the grant", async ({ body }) => {
    await expect(asked(() => undefined, body)).rejects.toMatchObject({
      fault: { code: "store_unavailable", message: "The store failed on packs/1: it has been silent for 0.4 s." },
    });
  });

  it("ends an answer that stops in its middle", async () => {
    const answer = await asked((_request, response) => response.writeHead(200, { "content-length": 10 }).write("half"));
    await expect(Array.fromAsync(answer)).rejects.toThrow();
  });

  it("waits for an answer that trickles for longer than a store may be silent", async () => {
    const answer = await asked(async (_request, response) => {
      for (let part = 0; part < 8; part++) {
        response.write("x");
        await after(silentMs / 4);
      }
      response.end();
    });
    expect(Buffer.concat((await Array.fromAsync(answer)) as Buffer[]).toString()).toBe("xxxxxxxx");
  });

  it("says why no connection was made", async () => {
    const ask = { key: "packs/1", method: "GET", url: "http://127.0.0.1:9/", headers: {}, signal: new AbortController().signal } as const;
    await expect(storeHttp(silentMs).send(ask)).rejects.toMatchObject({
      fault: { code: "store_unavailable", message: "The store failed on packs/1: it cannot be reached (ECONNREFUSED)." },
    });
  });
});
