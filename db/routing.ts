/**
 * Hosts of reverse proxies with their routes, and whether a host's proxy is wanted.
 *
 * The one idea: a proxy host with all its routes is one row, so whoever reads it sees a whole set of routes, never half of a change.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import { z } from "zod";
import { Uuid } from "../domain/ids.ts";
import { Cors, HttpRoute, TcpRoute } from "../domain/routing/schema.ts";
import type { Database } from "./connect.ts";
import { hostProxies, proxyHosts } from "./schema.ts";

const Stored = z.object({ cors: Cors.nullable(), httpRoutes: z.array(HttpRoute), tcpRoute: TcpRoute.nullable() });
type Row = typeof proxyHosts.$inferSelect;
export type ProxyHost = Omit<Row, keyof z.infer<typeof Stored>> & z.infer<typeof Stored>;
export type ProxyHostValues = Pick<ProxyHost, "name" | "host" | "port" | "sealedTls" | "cors" | "httpRoutes" | "tcpRoute">;

/** Whose proxy is meant: `hostId` null for those of all hosts. */
export interface ProxyScope {
  readonly project: string;
  readonly hostId: string | null;
}
const within = ({ project, hostId }: ProxyScope) =>
  and(eq(proxyHosts.project, project), hostId === null ? undefined : eq(proxyHosts.hostId, hostId));
const whole = (row: Row): ProxyHost => ({ ...row, ...Stored.parse(row) });

export async function listProxyHosts(db: Database, scope: ProxyScope): Promise<ProxyHost[]> {
  const rows = await db.select().from(proxyHosts).where(within(scope)).orderBy(asc(proxyHosts.createdAt), asc(proxyHosts.id));
  return rows.map(whole);
}

/** `lock` keeps it as it is until the caller's transaction ends. */
export async function findProxyHost(
  db: Database,
  scope: ProxyScope,
  id: string,
  { lock = false }: { lock?: boolean } = {},
): Promise<ProxyHost | null> {
  if (!Uuid.safeParse(id).success) return null;
  const query = db
    .select()
    .from(proxyHosts)
    .where(and(within(scope), eq(proxyHosts.id, id.toLowerCase())));
  const [row] = await (lock ? query.for("update") : query);
  return row ? whole(row) : null;
}

/** The id of whoever has the address on that host already; the answer holds until the caller's transaction ends. */
export async function proxyHostAt(
  tx: Database,
  { hostId, host, port }: Pick<ProxyHost, "hostId" | "host" | "port">,
): Promise<string | null> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`proxy-address:${hostId}`}, 0))`);
  const same = and(eq(proxyHosts.hostId, hostId), sql`lower(${proxyHosts.host}) = lower(${host})`, eq(proxyHosts.port, port));
  const [row] = await tx.select({ id: proxyHosts.id }).from(proxyHosts).where(same);
  return row?.id ?? null;
}

/** Adds one whose address is free. */
export async function insertProxyHost(
  tx: Database,
  row: ProxyHostValues & Pick<ProxyHost, "id" | "project" | "hostId">,
): Promise<ProxyHost> {
  const [made] = await tx.insert(proxyHosts).values(row).returning();
  if (!made) throw new Error("An insert returned no row.");
  return whole(made);
}

/** Changes one whose row the caller has locked. */
export async function changeProxyHost(db: Database, id: string, changes: Partial<ProxyHostValues>): Promise<ProxyHost> {
  const [row] = await db
    .update(proxyHosts)
    .set({ ...changes, updatedAt: sql`clock_timestamp()` })
    .where(eq(proxyHosts.id, id))
    .returning();
  if (!row) throw new Error("An update of a locked row returned no row.");
  return whole(row);
}

export async function removeProxyHost(db: Database, id: string): Promise<void> {
  await db.delete(proxyHosts).where(eq(proxyHosts.id, id));
}

export async function isProxyWanted(db: Database, hostId: string): Promise<boolean> {
  const [row] = await db.select({ wanted: hostProxies.wanted }).from(hostProxies).where(eq(hostProxies.hostId, hostId));
  return row?.wanted ?? true;
}

export async function wantProxy(db: Database, hostId: string, wanted: boolean): Promise<void> {
  await db.insert(hostProxies).values({ hostId, wanted }).onConflictDoUpdate({ target: hostProxies.hostId, set: { wanted } });
}
