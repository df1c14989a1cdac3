/**
 * The API on a port.
 *
 * The one idea: requests that ask for another protocol (`Upgrade: h2c`, which some HTTP clients send first) are answered as the plain requests that they
 * are; streams and waits are told to end before connections are closed.
 */
import { createServer as createHttpServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { FaultError } from "../domain/errors.ts";

export interface Listening {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly certificate: string; readonly privateKey: string } | undefined;
}
type Answer = (request: Request) => Response | Promise<Response>;

export interface Served {
  readonly port: number;
  /** Lets requests in flight end for so long, then breaks them off. */
  close(graceMs: number): Promise<void>;
}

export async function serveApi(answer: Answer, { host, port, tls }: Listening): Promise<Served> {
  const listener = getRequestListener(answer);
  const options = { shouldUpgradeCallback: () => false };
  const server: Server = tls
    ? createHttpsServer({ ...options, cert: tls.certificate, key: tls.privateKey, minVersion: "TLSv1.2" }, listener)
    : createHttpServer(options, listener);
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
      const late = setTimeout(() => server.closeAllConnections(), graceMs);
      await ended;
      clearTimeout(late);
    },
  };
}
