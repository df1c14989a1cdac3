/**
 * A hub for tests of the gateway: its own database and keys, the shared Temporal server, a gateway on free ports.
 *
 * The one idea: hosts are enrolled as real ones are, by a token and over TLS, so every test begins where a host begins.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, Connection } from "@temporalio/client";
import { pino } from "pino";
import { Registry } from "prom-client";
import { inject } from "vitest";
import { enrol, openHubLink, type HostIdentity, type HubLink } from "../../activities/host/hub-link.ts";
import { openDatabase } from "../../db/connect.ts";
import { insertEnrolmentToken } from "../../db/enrolment.ts";
import { keyRows } from "../../db/keys.ts";
import { migrate } from "../../db/migrate.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";
import type { HostFacts } from "../../domain/hosts/schema.ts";
import type { ObservedMachine } from "../../domain/machines/schema.ts";
import { gatewayMetrics } from "../../gateway/metrics.ts";
import { startGateway, type Gateway } from "../../gateway/start.ts";
import { newEnrolmentToken } from "../../security/enrolment-tokens.ts";
import { masterKeySource } from "../../security/master-key.ts";
import { openSecurity } from "../../security/open.ts";
import { storePorts } from "../../workers/stores.ts";
import { hubConverter } from "../../workers/temporal.ts";

export const log = pino({ level: "silent" });
export const namespace = "drover";

export async function startHub() {
  const home = await mkdtemp(join(tmpdir(), "drover-gateway-"));
  const url = await createDatabase(inject("databaseUrl"));
  await migrate(url);
  const open = openDatabase(url);
  const security = await openSecurity({ masterKey: masterKeySource({ given: undefined, home }), keys: keyRows(open.db) });
  const connection = await Connection.connect({ address: inject("temporalAddress") });
  const start = (ports = { port: 0, grpcPort: 0 }): Promise<Gateway> =>
    startGateway({
      metrics: gatewayMetrics(new Registry()),
      db: open.db,
      security,
      connection,
      namespace,
      ports: storePorts,
      log,
      listen: { host: "127.0.0.1", ...ports },
      publicHosts: ["localhost", "127.0.0.1"],
    });
  let gateway = await start();
  const links: HubLink[] = [];
  const hub = {
    db: open.db,
    sql: open.sql,
    url,
    home,
    security,
    connection,
    client: new Client({ connection, namespace, dataConverter: hubConverter(security.codec) }),
    /** What the server stores, as whoever reads its database sees it. */
    plain: new Client({ connection, namespace }),
    gateway: () => gateway,
    restartGateway: async () => {
      const [port, grpcPort] = [Number(new URL(gateway.url).port), Number(gateway.grpcAddress.split(":")[1])];
      await gateway.close(1000);
      gateway = await start({ port, grpcPort });
    },
    token: async (name: string, ttlSeconds = 600) => {
      const { token, hash } = newEnrolmentToken(security.authority.sha256);
      await insertEnrolmentToken(open.db, { hash, hostName: name, labels: ["test"], createdBy: "root", ttlSeconds });
      return token;
    },
    enrol: async (name: string, facts = hostFacts()): Promise<HostIdentity> =>
      enrol({ url: gateway.url, token: await hub.token(name), facts, replace: false }),
    link: async (identity: HostIdentity): Promise<HubLink> => {
      const link = await openHubLink(identity, { log });
      links.push(link);
      return link;
    },
    stop: async () => {
      await Promise.all(links.map((link) => link.close()));
      await gateway.close(1000);
      await connection.close();
      await open.close();
      await rm(home, { recursive: true, force: true });
    },
  };
  return hub;
}
export type Hub = Awaited<ReturnType<typeof startHub>>;

export const hostFacts = (hardwareId: string = randomUUID()): HostFacts => ({
  hardwareId,
  architecture: "arm64",
  cpuModel: "Apple M4",
  osName: "macOS",
  osVersion: "26.1",
  cpus: 10,
  memoryBytes: 32 * 1024 ** 3,
  diskBytes: 1024 ** 4,
  freeBytes: 512 * 1024 ** 3,
  machineFolder: "/vms",
  roots: ["/vms"],
  hypervisor: { name: "Parallels Desktop", version: "26.1", licence: "valid", simulated: true },
  workerVersion: "0.1.0",
  interfaceVersion: 1,
});

/** An inventory as a host sends it; the link fills its session in. */
export const inventoryOf = (
  facts: HostFacts,
  sequence: number,
  { machines = [] as ObservedMachine[], bootId = "boot-1", session = randomUUID() } = {},
) => ({
  kind: "inventory" as const,
  sequence,
  session,
  bootId,
  at: new Date().toISOString(),
  facts,
  machines,
  cached: [],
});
