/**
 * The gateway process: the one door through which hosts, and callers' own computers, reach the hub.
 *
 * The one idea: it keeps no state of its own, so it can be restarted at any time and run more than once: bindings travel in tokens, grants in URLs.
 */
import "../deploy/lifeline.ts";
import { Registry, collectDefaultMetrics } from "prom-client";
import { openDatabase } from "../db/connect.ts";
import { keyRows } from "../db/keys.ts";
import { tellListening } from "../db/listening.ts";
import { migrate } from "../db/migrate.ts";
import { environment } from "../deploy/configuration.ts";
import { temporalTarget } from "../deploy/temporal-connection.ts";
import { FaultError } from "../domain/errors.ts";
import { gatewayMetrics } from "../gateway/metrics.ts";
import { startGateway } from "../gateway/start.ts";
import { masterKeySource } from "../security/master-key.ts";
import { openSecurity } from "../security/open.ts";
import { serveHealth } from "./health.ts";
import { runProcess, type Running } from "./process.ts";
import { storePorts } from "./stores.ts";
import { connectTemporal } from "./temporal.ts";

/** Long polls end at once; a pack on a slow line may need this long, and is sent again otherwise. */
const graceMs = 10_000;

export async function runGateway({ config, log, signal }: Running): Promise<void> {
  const { database, security: secrets, gateway: place, health } = config;
  if (database.url === undefined) {
    throw new FaultError({ code: "configuration_invalid", message: "DATABASE_URL is not set. The embedded stack sets it by itself." });
  }
  await migrate(database.url);
  const open = openDatabase(database.url);
  const masterKey = masterKeySource({ given: secrets.masterKey, next: secrets.masterKeyNext, home: config.home });
  const security = await openSecurity({ masterKey, keys: keyRows(open.db), tokenSecret: secrets.tokenSecret });
  const { connection } = await connectTemporal(security.codec);
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gateway = await startGateway({
    metrics: gatewayMetrics(registry),
    db: open.db,
    security,
    connection,
    ports: storePorts,
    log,
    namespace: temporalTarget(environment()).namespace,
    listen: { host: place.host, port: place.port, grpcPort: place.grpcPort },
    publicHosts: place.publicHosts,
  });
  const listening = tellListening(database.url);
  const checks = {
    database: async () => ((await open.sql`select 1`).length === 1 ? null : "does not answer"),
    temporal: async () => {
      await connection.workflowService.getSystemInfo({});
      return null;
    },
  };
  const healthServer =
    health.gatewayPort === 0 ? null : await serveHealth({ host: health.host, port: health.gatewayPort, checks, registry });
  log.info({ event: "gateway.started", url: gateway.url, grpc: gateway.grpcAddress }, `Hosts reach the hub at ${gateway.url}.`);
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  await listening.close();
  await gateway.close(graceMs);
  await healthServer?.close();
  await connection.close();
  await open.close();
}

if (import.meta.main) await runProcess("gateway", runGateway);
