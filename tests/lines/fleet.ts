/**
 * The stack of the crash tests with a line of its own between each two that speak with each other, so that any of them can go bad.
 *
 * The one idea: servers and processes stay right all the time. Whatever comes out wrong, a connection did it.
 */
import { join } from "node:path";
import { readIdentity, writeIdentity } from "../../activities/host/hub-link-identity.ts";
import { openFleet, type Fleet } from "../crash/fleet.ts";
import type { Random } from "../crash/random.ts";
import { ownServers } from "../e2e/stack.ts";
import { logged, signal, until } from "../zombies/ground.ts";
import { openLine, type Line, type LineFault } from "./line.ts";

export const connections = [
  "host and gateway, HTTPS",
  "host and gateway, gRPC",
  "hub and Temporal",
  "hub and PostgreSQL",
  "host and S3",
] as const;
export type Connection = (typeof connections)[number];

export interface LinedFleet {
  readonly fleet: Fleet;
  /** Strikes all lines of that kind; answers how many connections were hit. */
  strike(connection: Connection, fault: LineFault, random: Random): number;
  close(): Promise<void>;
}

const lineTo = (address: string, port?: string): Promise<Line> => openLine({ host: address, port: Number(port) });

export async function openLinedFleet(hosts: number): Promise<LinedFleet> {
  const lines = new Map<Connection, Line[]>(connections.map((connection) => [connection, []]));
  const keep = (connection: Connection, line: Line) => {
    lines.get(connection)?.push(line);
    return `127.0.0.1:${line.port}`;
  };
  const through = async (connection: Connection, address: string): Promise<string> => {
    const url = new URL(address);
    url.host = keep(connection, await lineTo(url.hostname, url.port));
    return url.href;
  };
  const servers = await ownServers();
  const [temporal = "", temporalPort = ""] = (servers["TEMPORAL_ADDRESS"] ?? "").split(":");
  const databaseUrl = servers["DATABASE_URL"] ?? "";
  const variables = {
    ...servers,
    DATABASE_URL: await through("hub and PostgreSQL", databaseUrl),
    TEMPORAL_ADDRESS: keep("hub and Temporal", await lineTo(temporal, temporalPort)),
  };
  const before = async (endpoint: string) => (await through("host and S3", endpoint)).replace(/\/$/, "");
  const fleet = await openFleet({ hosts, store: "S3", servers: { variables, databaseUrl }, before });
  for (const { name } of fleet.hosts) await giveLines(fleet, name, through, keep);
  return {
    fleet,
    strike: (connection, fault, random) =>
      (lines.get(connection) ?? []).map((line) => line.strike(fault, random)).reduce((sum, hit) => sum + hit, 0),
    close: async () => {
      await fleet.close();
      await Promise.all([...lines.values()].flat().map((line) => line.close()));
    },
  };
}

/** The host begins anew with other ways to its gateway. */
async function giveLines(
  { stack }: Fleet,
  name: string,
  through: (connection: Connection, address: string) => Promise<string>,
  keep: (connection: Connection, line: Line) => string,
): Promise<void> {
  const path = join(stack.home, "hosts", name, "identity.json");
  const identity = await readIdentity(path);
  const [host = "", port = ""] = identity.grpcAddress.split(":");
  await writeIdentity(path, {
    ...identity,
    hubUrl: (await through("host and gateway, HTTPS", identity.hubUrl)).replace(/\/$/, ""),
    grpcAddress: keep("host and gateway, gRPC", await lineTo(host, port)),
  });
  signal(stack, name, "SIGTERM");
  await until(`${name} works by its lines`, async () => (await logged(stack, name, "host.started")).length > 1);
}
