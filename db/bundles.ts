/** Bundles on a host: the paths of machines that a reader may not reach. */
import { and, eq, isNotNull, isNull, not } from "drizzle-orm";
import type { Reader } from "../domain/access/rules.ts";
import type { Database } from "./connect.ts";
import { reachedBy } from "./machines.ts";
import { machines } from "./schema.ts";

export async function bundlesOfOthers(db: Database, hostId: string, reader: Reader): Promise<string[]> {
  const reached = reachedBy(reader);
  const rows = await db
    .select({ path: machines.bundlePath })
    .from(machines)
    .where(and(eq(machines.hostId, hostId), isNull(machines.retiredAt), isNotNull(machines.bundlePath), reached && not(reached)));
  return rows.flatMap(({ path }) => path ?? []);
}
