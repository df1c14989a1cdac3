/**
 * Which hosts of one network have an image, or fetch it now.
 *
 * The one idea: it is read from what hosts reported and from operations under way, so nothing is kept for it.
 */
import { and, eq, ne, sql } from "drizzle-orm";
import { lostAfterMs } from "../domain/hosts/rules.ts";
import { PeerAddress, type PeerAnswer } from "../domain/hosts/peers.ts";
import type { Database } from "./connect.ts";
import { hosts } from "./schema.ts";

/** More neighbours than this only share the same network; all hosts of an image are told of the same ones. */
const mostPeers = 64;

export async function peersOf(db: Database, { hostId, digest }: { hostId: string; digest: string }): Promise<PeerAnswer["peers"]> {
  const address = sql<unknown>`${hosts.facts}->'peer'`;
  const [own] = await db.select({ address }).from(hosts).where(eq(hosts.id, hostId));
  const network = PeerAddress.safeParse(own?.address).data?.network;
  if (network === undefined) return [];
  const has = sql`${hosts.cached} @> ${JSON.stringify([{ digest }])}::jsonb`;
  const fetches = sql`exists (select 1 from operations o where o.host_id = ${hosts.id} and o.state not in ('done', 'failed', 'cancelled')
    and o.verb in ('pull', 'provision') and o.input->'chosen'->>'digest' = ${digest})`;
  const reports = sql`${hosts.lastReportAt} > clock_timestamp() - make_interval(secs => ${lostAfterMs / 1000})`;
  const near = sql`${hosts.facts}->'peer'->>'network' = ${network}`;
  const rows = await db
    .select({ id: hosts.id, address })
    .from(hosts)
    .where(and(ne(hosts.id, hostId), near, reports, sql`(${has} or ${fetches})`))
    .orderBy(sql`md5(${digest} || ${hosts.id}::text)`)
    .limit(mostPeers);
  return rows.flatMap(({ id, address: told }) => {
    const found = PeerAddress.safeParse(told).data;
    return found ? [{ hostId: id, host: found.host, port: found.port }] : [];
  });
}
