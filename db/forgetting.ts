/**
 * What a lost master key takes with it.
 *
 * The one idea: what no key opens any more is removed, so that nothing fails later and one by one for a reason that is known now.
 */
import { count, isNotNull, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { catalogManagers, hosts, operations, outputs, proxyHosts, stores, userConfigs, webhooks } from "./schema.ts";

/** Sessions of others on this database: processes that still have the keys in their memory. */
export async function otherSessions(db: Database): Promise<number> {
  const [row] = await db.execute<{ others: number }>(
    sql`select count(*)::int as others from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`,
  );
  return row?.others ?? 0;
}

/** Hosts keep their rows, so that they take their places again when they enrol. Operations under way end with their workflows. */
export async function dropSealed(tx: Database) {
  const credentials = await tx
    .update(stores)
    .set({ sealed: null, state: "denied" })
    .where(isNotNull(stores.sealed))
    .returning({ id: stores.id });
  await tx.update(operations).set({ sealed: null }).where(isNotNull(operations.sealed));
  const lines = await tx.delete(outputs).where(isNotNull(outputs.sealed)).returning({ line: outputs.line });
  const values = await tx.delete(userConfigs).where(isNotNull(userConfigs.sealed)).returning({ id: userConfigs.id });
  await tx.update(catalogManagers).set({ sealed: null, active: false }).where(isNotNull(catalogManagers.sealed));
  await tx.update(proxyHosts).set({ sealedTls: null }).where(isNotNull(proxyHosts.sealedTls));
  const problem = "Its address and secret were sealed by a key that is lost: give new ones with `drover webhook edit`.";
  await tx.update(webhooks).set({ sealed: new Uint8Array(), enabled: false, problem });
  const open = sql`${operations.state} not in ('done', 'failed', 'cancelled')`;
  const [underWay] = await tx.select({ count: count() }).from(operations).where(open);
  const [enrolled] = await tx.select({ count: count() }).from(hosts);
  return {
    stores: credentials.length,
    outputs: lines.length,
    userConfigs: values.length,
    operations: underWay?.count ?? 0,
    hosts: enrolled?.count ?? 0,
  };
}
