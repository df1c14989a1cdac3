/**
 * The API on a port.
 *
 * The one idea: only a WebSocket is upgraded; a request that asks for another protocol (`Upgrade: h2c`, which some HTTP clients send first) is answered as
 * the plain request that it is. Streams and waits are told to end before connections are closed. Whoever sends too slowly or too much is answered and cut.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createAdaptorServer, type WebSocketServerLike } from "@hono/node-server";
import { WebSocketServer } from "ws";
import type { Config } from "../domain/config/schema.ts";
import { FaultError } from "../domain/errors.ts";
import { refuseUnread } from "./unread.ts";

export interface Listening {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly certificate: string; readonly privateKey: string } | undefined;
  readonly limits?: ConnectionLimits | undefined;
}
/** `connection` tells from where a request came, and lets a route take its socket over. */
type Answer = (request: Request, connection: object) => Response | Promise<Response>;

/** Clients of the event hub send a word at a time. */
const longestMessageBytes = 64 * 1024;

export interface ConnectionLimits {
  readonly headersMs: number;
  readonly requestMs: number;
  readonly idleMs: number;
  readonly connections: number;
}
const usualLimits: ConnectionLimits = {
  /** Headers are one packet or two: ten seconds are a very bad line. */
  headersMs: 10_000,
  /** The longest body, 8 MiB, at 140 kB/s. */
  requestMs: 60_000,
  /** Longer than the sixty seconds of most balancers, so that theirs is the end of an idle connection and no request meets it. */
  idleMs: 65_000,
  /** Each costs some 20 kB: 200 MB at most, however many come. */
  connections: 10_000,
};
/** A token with a user's many claims has some; all of them together never reach it. */
const headerBytes = 16 * 1024;
const headerCount = 200;
/** How late a connection that sends too slowly may be noticed. */
const lookEveryMs = 1_000;

const serverOptions = ({ headersMs, requestMs, idleMs }: ConnectionLimits) => ({
  maxHeaderSize: headerBytes,
  headersTimeout: headersMs,
  requestTimeout: requestMs,
  keepAliveTimeout: idleMs,
  connectionsCheckingInterval: lookEveryMs,
  shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket",
});

export interface Served {
  readonly port: number;
  /** Lets requests in flight end for so long, then breaks them off. */
  close(graceMs: number): Promise<void>;
}

export async function serveApi(answer: Answer, { host, port, tls, limits = usualLimits }: Listening): Promise<Served> {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: longestMessageBytes });
  const serving = { fetch: answer, websocket: { server: sockets as unknown as WebSocketServerLike } };
  const options = serverOptions(limits);
  const secure = tls && ({ ...options, cert: tls.certificate, key: tls.privateKey, minVersion: "TLSv1.2" } as const);
  const server = (
    secure
      ? withCertificate(() => createAdaptorServer({ ...serving, createServer: createHttpsServer, serverOptions: secure }))
      : createAdaptorServer({ ...serving, createServer: createHttpServer, serverOptions: options })
  ) as Server;
  server.maxHeadersCount = headerCount;
  server.maxConnections = limits.connections;
  server.on("clientError", refuseUnread);
  await listen(server, host, port);
  return {
    port: (server.address() as AddressInfo).port,
    close: async (graceMs) => {
      const ended = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      for (const socket of sockets.clients) socket.close(1001, "The API shuts down.");
      const late = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
        server.closeAllConnections();
      }, graceMs);
      await ended;
      clearTimeout(late);
    },
  };
}

function withCertificate<T>(begin: () => T): T {
  try {
    return begin();
  } catch (cause) {
    const { reason } = cause as { readonly reason?: string };
    const message = `The API cannot use TLS_CERTIFICATE with TLS_PRIVATE_KEY: ${reason ?? "they cannot be read"}.`;
    throw new FaultError({ code: "configuration_invalid", message }, { cause });
  }
}

/** Over plain HTTP, over TLS, or both; a certificate that cannot be used is said before anything listens. */
export async function serveAsConfigured({ host, port, tls }: Config["api"], answer: Answer): Promise<Served[]> {
  if (!tls) return [await serveApi(answer, { host, port })];
  const secure = await serveApi(answer, { host, port: tls.port, tls });
  return tls.only ? [secure] : [secure, await serveApi(answer, { host, port })];
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refused = (cause: NodeJS.ErrnoException) =>
      reject(
        new FaultError(
          { code: "port_in_use", message: `The API cannot listen on ${host}:${port}: ${cause.code ?? "unknown"}.` },
          { cause },
        ),
      );
    server.once("error", refused).listen(port, host, resolve);
  });
}
