/** Stores that are reached through an HTTP proxy only: the proxy alone knows where their names lead. */
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { readAll } from "../../stores/object-store.ts";
import { useProxies } from "../../stores/proxies.ts";
import { opener } from "./others-own.ts";
import type { Providers } from "./providers.ts";
import { selfSigned, startTlsFront } from "./tls.ts";

const calm = () => new AbortController().signal;
const body = Buffer.from("through the proxy");
const sha256 = createHash("sha256").update(body).digest("hex");

/** Whatever name it is asked for, it leads to this computer. */
async function startProxy() {
  const asked: string[] = [];
  const open = new Set<{ destroy(): void }>();
  const server = createServer((ask, answer) => {
    const { port, pathname, search, host } = new URL(ask.url ?? "");
    asked.push(`${ask.method ?? ""} ${host}`);
    const onward = request({
      host: "127.0.0.1",
      port,
      path: `${pathname}${search}`,
      method: ask.method,
      headers: ask.headers,
      agent: false,
    });
    onward.on("response", (came) => came.pipe(answer.writeHead(came.statusCode ?? 500, came.headers)));
    onward.on("error", () => answer.destroy());
    ask.pipe(onward);
  });
  server.on("connect", ({ url = "" }, socket) => {
    asked.push(`CONNECT ${url}`);
    const onward = connect(Number(url.split(":")[1]), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    open.add(socket).add(onward);
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy()).on("close", () => onward.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    asked,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        // Tunnels are no connections of the server any more.
        for (const socket of open) socket.destroy();
      }),
  };
}

export function describeProxies(all: () => Providers): void {
  describe("a store behind a proxy", () => {
    afterEach(() => useProxies({}));

    it.each(["s3", "azure", "artifactory"] as const)("is reached through it, sealed from its eyes: %s", async (kind) => {
      const folder = await mkdtemp(join(tmpdir(), "drover-proxied-"));
      const tls = await selfSigned();
      const ca = join(folder, "ca.pem");
      await writeFile(ca, tls.certificate);
      const front = await startTlsFront(all()[kind].endpoint, tls);
      await using proxy = await startProxy();
      useProxies({ HTTPS_PROXY: proxy.url });
      const named = front.endpoint.replace("127.0.0.1", "store.example");
      const store = opener(all(), kind, named)({ ca });
      expect(await store.write("proxied", body, sha256, calm())).toBe("written");
      expect((await readAll(await store.read("proxied", null, calm()), "proxied", 100)).toString()).toBe(body.toString());
      expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT ${new URL(named).host}`]));
      await Promise.all([front.stop(), rm(folder, { recursive: true })]);
    });

    it("is reached straight where NO_PROXY names it, as this computer always is", async () => {
      const { artifactory } = all();
      await using proxy = await startProxy();
      const proxied = opener(all(), "artifactory", artifactory.endpoint.replace("127.0.0.1", "store.example"));
      useProxies({ HTTP_PROXY: proxy.url.replace("http://", "") });
      expect(await proxied({}).size("none")).toBeNull();
      expect(proxy.asked).toHaveLength(1);
      useProxies({ HTTP_PROXY: proxy.url, NO_PROXY: ".other.example,store.example" });
      await expect(proxied({}).size("none")).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
      useProxies({ HTTP_PROXY: proxy.url });
      expect(await opener(all(), "artifactory", artifactory.endpoint)({}).size("none")).toBeNull();
      expect(proxy.asked).toHaveLength(1);
    });
  });
}
