/**
 * The host gateway: the HTTPS routes and the gRPC front for Temporal, under one certificate of the hub's authority.
 *
 * The one idea: both listen before anything is told to be ready, and both end together: long polls first, then what is in flight, within a grace.
 */
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Connection } from "@temporalio/client";
import type { Logger } from "pino";
import type { Database } from "../db/connect.ts";
import { FaultError } from "../domain/errors.ts";
import { renewBeforeMs } from "../security/authority.ts";
import { grantSignatures } from "../security/grant-signatures.ts";
import type { Security } from "../security/open.ts";
import { gatewayApp } from "./app.ts";
import { callers } from "./callers.ts";
import { payloadBorder } from "./payloads.ts";
import { queueRules } from "./queues.ts";
import type { GatewayMetrics } from "./metrics.ts";
import type { KeyPair } from "./server-credentials.ts";
import { openStores, type StorePorts } from "./stores.ts";
import { taskTokens } from "./task-tokens.ts";
import { startTemporalFront } from "./temporal-front.ts";

export interface GatewaySetup {
  readonly db: Database;
  readonly security: Security;
  /** To Temporal itself, without a codec: this is where the codec is applied. */
  readonly connection: Connection;
  readonly namespace: string;
  readonly ports: StorePorts;
  readonly log: Logger;
  readonly metrics: GatewayMetrics;
  /** Where it listens; port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number; readonly grpcPort: number };
  /** Names and addresses that hosts reach it by; the first is told to them. */
  readonly publicHosts: readonly string[];
}

export interface Gateway {
  readonly url: string;
  readonly grpcAddress: string;
  close(graceMs: number): Promise<void>;
}

/** A certificate is looked at once a day, a month before its end. */
const lookEveryMs = 24 * 3_600_000;

export async function startGateway(setup: GatewaySetup): Promise<Gateway> {
  const { db, security, connection, namespace, log, metrics, listen, publicHosts } = setup;
  const { hubId, ring, sealer, transfers, codec, authority } = security;
  const identify = callers({ db, hubId, transfers });
  const certificate = await authority.issue(publicHosts);
  const front = await startTemporalFront({
    connection,
    namespace,
    identify,
    log,
    metrics,
    host: listen.host,
    port: listen.grpcPort,
    tls: certificate,
    border: payloadBorder(codec),
    tokens: taskTokens(ring),
    rules: queueRules(db),
  });
  const [name = "localhost"] = publicHosts;
  const grpcAddress = `${name}:${front.port}`;
  const stores = openStores({ db, sealer, ports: setup.ports });
  const reach = { hubId, authority: authority.certificate, grpcAddress, namespace };
  const app = gatewayApp({ db, hubId, log, metrics, identify, stores, signatures: grantSignatures(ring), sealer, authority, reach });
  const server = httpsServer(app.fetch, certificate);
  const port = await listening(server, listen.host, listen.port).catch(async (error: unknown) => {
    await front.close(0);
    throw error;
  });
  const renewal = keepCertificate(setup, certificate.expiresAt, (fresh) => {
    server.setSecureContext({ cert: fresh.certificate, key: fresh.privateKey });
    front.renew(fresh);
  });
  const close = async (graceMs: number) => {
    clearInterval(renewal);
    await Promise.all([closeServer(server, graceMs), front.close(graceMs)]);
  };
  return { url: `https://${name}:${port}`, grpcAddress, close };
}

function httpsServer(fetch: Parameters<typeof createAdaptorServer>[0]["fetch"], { certificate, privateKey }: KeyPair): HttpsServer {
  const serverOptions = { cert: certificate, key: privateKey, minVersion: "TLSv1.3" as const };
  const server = createAdaptorServer({ fetch, createServer: createHttpsServer, serverOptions }) as HttpsServer;
  // A pack of 64 MiB over a slow line takes a while; the default of five minutes would cut it.
  server.requestTimeout = 30 * 60_000;
  return server;
}

function listening(server: HttpsServer, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      const message = `The gateway cannot listen on ${host}:${port}: another program may use the port.`;
      reject(new FaultError({ code: "port_in_use", message, subject: String(port) }, { cause }));
    });
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function keepCertificate({ security, publicHosts, log }: GatewaySetup, firstEnd: Date, replace: (fresh: KeyPair) => void): NodeJS.Timeout {
  let expiresAt = firstEnd;
  const look = async () => {
    if (expiresAt.getTime() - Date.now() > renewBeforeMs) return;
    const fresh = await security.authority.issue(publicHosts);
    replace(fresh);
    expiresAt = fresh.expiresAt;
    log.info({ event: "gateway.certificate", expiresAt }, "The gateway's certificate was renewed.");
  };
  const timer = setInterval(
    () =>
      void look().catch((err: unknown) =>
        log.error({ event: "gateway.certificate_failed", err }, "The certificate was not renewed; tomorrow again."),
      ),
    lookEveryMs,
  );
  return timer.unref();
}

async function closeServer(server: HttpsServer, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
