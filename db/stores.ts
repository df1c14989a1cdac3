/**
 * Stores: where images lie. Credentials stay sealed; who may open them asks for the secret apart.
 *
 * The one idea: a store is found by its location, so the same place asked for twice is one row.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import { refuse, ok, type Result } from "../domain/errors.ts";
import { Store } from "../domain/catalog/schema.ts";
import { Uuid } from "../domain/ids.ts";
import type { Database } from "./connect.ts";
import { stores } from "./schema.ts";

export interface NewStoreRow {
  readonly id: string;
  readonly name: string;
  readonly kind: Store["kind"];
  readonly location: string;
  readonly sealed: Uint8Array | null;
  readonly project?: string;
}

export async function findStore(db: Database, idOrName: string): Promise<Result<Store>> {
  const id = Uuid.safeParse(idOrName);
  const [row] = await db
    .select()
    .from(stores)
    .where(id.success ? eq(stores.id, id.data) : eq(stores.name, idOrName));
  return row ? ok(Store.parse(row)) : refuse({ code: "store_not_found", message: `There is no store ${idOrName}.`, subject: idOrName });
}

export async function findDefaultStore(db: Database): Promise<Result<Store>> {
  const [row] = await db.select().from(stores).where(eq(stores.isDefault, true));
  return row ? ok(Store.parse(row)) : refuse({ code: "store_not_found", message: "No default store is configured." });
}

export async function findStoreAt(db: Database, location: string): Promise<Store | null> {
  const [row] = await db.select().from(stores).where(eq(stores.location, location));
  return row ? Store.parse(row) : null;
}

export async function listStores(db: Database): Promise<Store[]> {
  return (await db.select().from(stores).orderBy(asc(stores.name))).map((row) => Store.parse(row));
}

/** The sealed credentials; null where the provider needs none. */
export async function sealedCredentials(db: Database, id: string): Promise<Uint8Array | null> {
  const [row] = await db.select({ sealed: stores.sealed }).from(stores).where(eq(stores.id, id));
  return row?.sealed ?? null;
}

/** Adds the store, or answers the one at that location with its credentials renewed. */
export async function ensureStore(db: Database, { id, name, kind, location, sealed, project }: NewStoreRow): Promise<Store> {
  const row = { id, name, kind, location, sealed, ...(project === undefined ? {} : { project }) };
  const renewed = sealed === null ? { state: "ready" as const } : { sealed, state: "ready" as const };
  const [made] = await db.insert(stores).values(row).onConflictDoUpdate({ target: stores.location, set: renewed }).returning();
  return Store.parse(made);
}

/** From now on pushes that name no store go here. */
export async function makeDefault(db: Database, id: string): Promise<void> {
  await db
    .update(stores)
    .set({ isDefault: sql`${stores.id} = ${id}` })
    .where(sql`${stores.isDefault} or ${stores.id} = ${id}`);
}

/** Whether the store answered when it was last used. */
export async function markStore(db: Database, id: string, state: Store["state"]): Promise<void> {
  await db
    .update(stores)
    .set({ state })
    .where(and(eq(stores.id, id), sql`${stores.state} <> ${state}`));
}
