/**
 * The API on a port.
 *
 * The one idea: only a WebSocket is upgraded; a request that asks for another protocol (`Upgrade: h2c`, which some HTTP clients send first) is answered as
 * the plain request that it is. Streams and waits are told to end before connections are closed.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createAdaptorServer, type WebSocketServerLike } from "@hono/node-server";
import { WebSocketServer } from "ws";
import { FaultError } from "../domain/errors.ts";

export interface Listening {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly certificate: string; readonly privateKey: string } | undefined;
}
/** `connection` tells from where a request came, and lets a route take its socket over. */
type Answer = (request: Request, connection: object) => Response | Promise<Response>;

/** Clients of the event hub send a word at a time. */
const longestMessageBytes = 64 * 1024;

export interface Served {
  readonly port: number;
  /** Lets requests in flight end for so long, then breaks them off. */
  close(graceMs: number): Promise<void>;
}

export async function serveApi(answer: Answer, { host, port, tls }: Listening): Promise<Served> {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: longestMessageBytes });
  const serving = { fetch: answer, websocket: { server: sockets as unknown as WebSocketServerLike } };
  const options = { shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === "websocket" };
  const secure = tls && ({ ...options, cert: tls.certificate, key: tls.privateKey, minVersion: "TLSv1.2" } as const);
  const server = (
    secure
      ? createAdaptorServer({ ...serving, createServer: createHttpsServer, serverOptions: secure })
      : createAdaptorServer({ ...serving, createServer: createHttpServer, serverOptions: options })
  ) as Server;
  await new Promise<void>((resolve, reject) => {
    const refused = (cause: NodeJS.ErrnoException) =>
      reject(
        new FaultError(
          { code: "port_in_use", message: `The API cannot listen on ${host}:${port}: ${cause.code ?? "unknown"}.` },
          { cause },
        ),
      );
    server.once("error", refused).listen(port, host, resolve);
  });
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
