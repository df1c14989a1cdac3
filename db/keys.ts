/**
 * The rows of wrapped keys and of the hub itself: the port that the key ring declares.
 *
 * The one idea: whoever makes keys holds one advisory lock, so the api, the hub and the gateway may all start first.
 */
import { and, eq, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { dropSealed } from "./forgetting.ts";
import { hub, keys } from "./schema.ts";

type KeyRow = typeof keys.$inferSelect;
type HubRow = Pick<typeof hub.$inferSelect, "id" | "masterKeyCheck" | "masterKeySince">;

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
    readHub: async (): Promise<HubRow | null> => {
      const { id, masterKeyCheck, masterKeySince } = hub;
      return (await tx.select({ id, masterKeyCheck, masterKeySince }).from(hub))[0] ?? null;
    },
    writeHub: async ({ id, masterKeyCheck }: Pick<HubRow, "id"> & { masterKeyCheck: Uint8Array }): Promise<void> => {
      const set = { masterKeyCheck, masterKeySince: sql`now()` };
      await tx
        .insert(hub)
        .values({ id, ...set })
        .onConflictDoUpdate({ target: hub.id, set });
    },
    list: (): Promise<KeyRow[]> => tx.select().from(keys),
    add: async ({ id, purpose, wrapped, public: shown }: NewKey): Promise<void> => {
      await tx
        .update(keys)
        .set({ current: false })
        .where(and(eq(keys.purpose, purpose), eq(keys.current, true)));
      await tx.insert(keys).values({ id, purpose, wrapped, public: shown === null ? null : { ...shown } });
    },
    clear: async () => {
      await tx.delete(keys);
      return dropSealed(tx);
    },
    rewrap: async (rows: readonly Pick<KeyRow, "id" | "wrapped">[]): Promise<void> => {
      for (const { id, wrapped } of rows) await tx.update(keys).set({ wrapped }).where(eq(keys.id, id));
    },
  };
}

type NewKey = Pick<KeyRow, "id" | "purpose" | "wrapped"> & { readonly public: Readonly<Record<string, unknown>> | null };
