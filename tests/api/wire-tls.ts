/** The wire over TLS alone: every route is there, streams too, and plain HTTP is answered by nobody. */
import { once } from "node:events";
import { request } from "node:https";
import { connect, createServer, type AddressInfo } from "node:net";
import { json, text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { serveAsConfigured, type Served } from "../../api/serve.ts";
import { readConfig } from "../../domain/config/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { selfSigned, type KeyPair } from "../stores/tls.ts";
import { rootPassword, type World } from "./world.ts";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
const base64 = (pem: string) => Buffer.from(pem).toString("base64");

/** What the port answers to a plain request before it ends the connection. */
async function plainly(port: number): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.write("GET /api/health/probe HTTP/1.1\r\nHost: x\r\n\r\n");
  return text(socket);
}

export function describeTls(world: () => World): void {
  describe("over TLS with plain HTTP off", () => {
    let keys: KeyPair;
    let ports: { plain: number; secure: number };
    let served: Served[];
    const configured = (privateKey: string) =>
      unwrap(
        readConfig(
          {
            API_HOST: "127.0.0.1",
            API_PORT: String(ports.plain),
            TLS_ENABLED: "true",
            TLS_PORT: String(ports.secure),
            TLS_CERTIFICATE: base64(keys.certificate),
            TLS_PRIVATE_KEY: base64(privateKey),
            DISABLE_HTTP_WHEN_TLS: "true",
          },
          "/nowhere",
        ),
      ).api;
    beforeAll(async () => {
      keys = await selfSigned();
      ports = { plain: await freePort(), secure: await freePort() };
      served = await serveAsConfigured(configured(keys.privateKey), (sent, connection) => world().app.fetch(sent, connection));
    });
    afterAll(() => Promise.all(served.map((one) => one.close(1000))));

    const send = async (method: string, path: string, body?: object, token?: string) => {
      const headers = { "Content-Type": "application/json", ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) };
      const sent = request({ host: "127.0.0.1", port: ports.secure, ca: keys.certificate, method, path, headers });
      sent.end(body === undefined ? undefined : JSON.stringify(body));
      const [response] = await once(sent, "response");
      return { status: response.statusCode as number, body: (await json(response)) as Record<string, string> };
    };

    it("serves the wire, its events and ours", async () => {
      const { status, body } = await send("POST", "/api/v1/auth/token", { email: "root", password: rootPassword });
      expect(status).toBe(200);
      for (const path of ["/api/v1/machines", "/api/catalog", "/api/v1/orchestrator/hosts", "/api/v2/machines"])
        expect(await send("GET", path, undefined, body["token"])).toMatchObject({
          status: expect.toSatisfy((code) => code === 200 || code === 202),
        });
      expect((await send("GET", "/api/v1/health/system?full=true")).body).toMatchObject({ healthy: true });
      const address = `wss://127.0.0.1:${ports.secure}/api/v1/ws/subscribe?event_types=pdfm&access_token=${body["token"]}`;
      const socket = new WebSocket(address, { ca: keys.certificate });
      const [greeting] = await once(socket, "message");
      expect(JSON.parse(String(greeting))).toMatchObject({ event_type: "global" });
      socket.close();
    });

    it("answers no plain HTTP at either port", async () => {
      await expect(plainly(ports.plain)).rejects.toMatchObject({ code: "ECONNREFUSED" });
      expect(await plainly(ports.secure).catch(() => "")).not.toContain("HTTP");
    });

    it("says of a certificate that does not fit its key what is wrong, and listens nowhere", async () => {
      const other = await selfSigned();
      const began = serveAsConfigured({ ...configured(other.privateKey), port: await freePort() }, () => new Response());
      const error = await began.catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(FaultError);
      expect(error).toMatchObject({ fault: { code: "configuration_invalid", message: expect.stringContaining("TLS_CERTIFICATE") } });
    });
  });
}
