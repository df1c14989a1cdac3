/**
 * The rows of wrapped keys and of the hub itself: the port that the key ring declares.
 *
 * The one idea: whoever makes keys holds one advisory lock, so the api, the hub and the gateway may all start first.
 */
import { and, eq, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { hub, keys } from "./schema.ts";

type KeyRow = typeof keys.$inferSelect;
type HubRow = Pick<typeof hub.$inferSelect, "id" | "masterKeyCheck">;

/** Any number will do, as long as no other lock of ours has it: "keys" in ASCII. */
const keysLock = 0x6b657973;

export function keyRows(db: Database) {
  return {
    list: () => db.select().from(keys),
    locked: <T>(act: (table: ReturnType<typeof keyTable>) => Promise<T>): Promise<T> =>
      db.transaction(async (tx) => {
        await tx.execute(sql`select pg_advisory_xact_lock(${keysLock})`);
        return act(keyTable(tx));
      }),
  };
}

function keyTable(tx: Database) {
  return {
    readHub: async (): Promise<HubRow | null> => (await tx.select({ id: hub.id, masterKeyCheck: hub.masterKeyCheck }).from(hub))[0] ?? null,
    writeHub: async ({ id, masterKeyCheck }: HubRow): Promise<void> => {
      await tx.insert(hub).values({ id, masterKeyCheck }).onConflictDoUpdate({ target: hub.id, set: { masterKeyCheck } });
    },
    list: (): Promise<KeyRow[]> => tx.select().from(keys),
    add: async ({ id, purpose, wrapped, public: shown }: NewKey): Promise<void> => {
      await tx
        .update(keys)
        .set({ current: false })
        .where(and(eq(keys.purpose, purpose), eq(keys.current, true)));
      await tx.insert(keys).values({ id, purpose, wrapped, public: shown === null ? null : { ...shown } });
    },
  };
}

type NewKey = Pick<KeyRow, "id" | "purpose" | "wrapped"> & { readonly public: Readonly<Record<string, unknown>> | null };
