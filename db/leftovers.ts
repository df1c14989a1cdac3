/**
 * What of a host's half-done work somebody still wants.
 *
 * The one idea: only an operation that has not ended, and that runs on this very host, wants anything there.
 */
import { and, eq, inArray, sql } from "drizzle-orm";
import type { Leftovers, LeftoversAnswer } from "../domain/hosts/schema.ts";
import type { Database } from "./connect.ts";
import { operations } from "./schema.ts";

export async function judgeLeftovers(db: Database, hostId: string, { operations: ids, digests }: Leftovers): Promise<LeftoversAnswer> {
  const here = and(eq(operations.hostId, hostId), sql`${operations.state} not in ('done', 'failed', 'cancelled')`);
  const digest = sql<string>`${operations.input}->'chosen'->>'digest'`;
  const live =
    ids.length === 0
      ? []
      : await db
          .select({ id: operations.id })
          .from(operations)
          .where(and(here, inArray(operations.id, ids)));
  const wanted =
    digests.length === 0
      ? []
      : await db
          .select({ digest })
          .from(operations)
          .where(and(here, inArray(digest, digests)));
  return {
    ended: ids.filter((id) => !live.some((one) => one.id === id)),
    unwanted: digests.filter((one) => !wanted.some((row) => row.digest === one)),
  };
}
