/**
 * What one process may take of a store that has limits, while others take from it too.
 *
 * The one idea: a limit is divided evenly among the hosts that move bytes at this moment, and the hub where it does; who comes or goes is seen at the next look, so
 * all of them together stay close to the limit without talking to each other.
 */
import { sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { operations, steps, stores } from "./schema.ts";

export interface Share {
  readonly storeId: string;
  readonly bytesPerSecond: number | null;
  readonly requests: number | null;
}

/** Steps in which bytes travel between a store and whoever does them. */
const movingOnHosts = sql`('fetch', 'upload', 'write anew')`;
const movingOnHub = sql`('write archive', 'repack', 'content', 'read', 'read back')`;

/** Null where the store has no limits. */
export async function shareOf(db: Database, storeId: string): Promise<Share | null> {
  const [row] = await db.execute<{ bandwidth: string | null; requests: number | null; sharers: number }>(sql`
    select ${stores.maxBytesPerSecond} as bandwidth, ${stores.maxRequests} as requests, (
      select count(distinct case when ${steps.name} in ${movingOnHub} then 'hub' else coalesce(${operations.hostId}::text, ${operations.id}::text) end)::int
      from ${operations} join ${steps} on ${steps.operationId} = ${operations.id}
      where ${operations.state} not in ('done', 'failed', 'cancelled') and ${steps.state} = 'running'
        and (${steps.name} in ${movingOnHosts} or ${steps.name} in ${movingOnHub})
        and ${storeId} in (${operations.input} -> 'chosen' ->> 'storeId', ${operations.input} ->> 'storeId', ${operations.input} ->> 'writesTo')
    ) as sharers from ${stores} where ${stores.id} = ${storeId} and (${stores.maxBytesPerSecond} is not null or ${stores.maxRequests} is not null)`);
  if (!row) return null;
  const sharers = Math.max(1, row.sharers);
  return {
    storeId,
    bytesPerSecond: row.bandwidth === null ? null : Number(row.bandwidth) / sharers,
    // Nobody can move anything by less than one request.
    requests: row.requests === null ? null : Math.max(1, Math.floor(row.requests / sharers)),
  };
}
