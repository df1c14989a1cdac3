/**
 * Stores: where images lie. Credentials stay sealed; who may open them asks for the secret apart.
 *
 * The one idea: a store is found by its location, so the same place asked for twice is one row.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import { FaultError, refuse, ok, unwrap, type Result } from "../domain/errors.ts";
import { Store } from "../domain/catalog/schema.ts";
import { Uuid } from "../domain/ids.ts";
import type { Database } from "./connect.ts";
import { imageArchives, imageVersions, operations, stores } from "./schema.ts";

export interface NewStoreRow {
  readonly id: string;
  readonly name: string;
  readonly kind: Store["kind"];
  readonly location: string;
  readonly sealed: Uint8Array | null;
  readonly project?: string;
  readonly readOnly?: boolean;
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
export async function ensureStore(
  db: Database,
  { id, name, kind, location, sealed, project, readOnly = false }: NewStoreRow,
): Promise<Store> {
  const row = { id, name, kind, location, sealed, readOnly, ...(project === undefined ? {} : { project }) };
  const renewed = sealed === null ? { state: "ready" as const } : { sealed, state: "ready" as const };
  const [made] = await named(name, () =>
    db.insert(stores).values(row).onConflictDoUpdate({ target: stores.location, set: renewed }).returning(),
  );
  return Store.parse(made);
}

export interface StoreRowChange {
  readonly name?: string;
  readonly location?: string;
  readonly sealed?: Uint8Array;
  readonly readOnly?: boolean;
  readonly maxBytesPerSecond?: number | null;
  readonly maxRequests?: number | null;
}

/** Where it answered with what is changed, it counts as ready. */
export async function changeStore(db: Database, id: string, change: StoreRowChange, answered: boolean): Promise<Result<Store>> {
  const [row] = await named(change.name ?? "", () =>
    db
      .update(stores)
      .set({ ...change, ...(answered ? { state: "ready" as const } : {}) })
      .where(eq(stores.id, id))
      .returning(),
  );
  return row ? ok(Store.parse(row)) : refuse({ code: "store_not_found", message: `There is no store ${id}.`, subject: id });
}

/** Names are for people, who take them twice. */
async function named<T>(name: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    const { constraint_name: constraint } = ((cause as Error).cause ?? cause) as { constraint_name?: string };
    if (constraint === "stores_name")
      throw new FaultError({ code: "store_exists", message: `There is a store ${name} already.`, subject: name }, { cause });
    if (constraint !== "stores_location") throw cause;
    throw new FaultError({ code: "store_exists", message: "Another store has that location already." }, { cause });
  }
}

/** From now on pushes that name no store go here. */
export async function makeDefault(db: Database, id: string): Promise<void> {
  await db
    .update(stores)
    .set({ isDefault: sql`${stores.id} = ${id}` })
    .where(sql`${stores.isDefault} or ${stores.id} = ${id}`);
}

/** What the configuration names becomes the default, unless it was named at the last start too: then an operator may have chosen another since. */
export async function makeConfigured(db: Database, id: string): Promise<Store> {
  return db.transaction(async (tx) => {
    const known = await tx
      .select({ id: stores.id })
      .from(stores)
      .where(and(eq(stores.id, id), eq(stores.configured, true)));
    const [held] = await tx.select({ id: stores.id }).from(stores).where(eq(stores.isDefault, true));
    if (known.length === 0 || !held) await makeDefault(tx, id);
    await tx
      .update(stores)
      .set({ configured: sql`${stores.id} = ${id}` })
      .where(sql`${stores.configured} or ${stores.id} = ${id}`);
    return unwrap(await findStore(tx, id));
  });
}

/** The row goes, and what lies in the store stays; refused while anything points to it. */
export async function dropStore(db: Database, id: string): Promise<Result<Store>> {
  return db.transaction(async (tx) => {
    // Locked, so that no version is published to it meanwhile: that needs the row, and waits.
    const [row] = await tx.select().from(stores).where(eq(stores.id, id)).for("update");
    if (!row) return refuse({ code: "store_not_found", message: `There is no store ${id}.`, subject: id });
    const held = await whatHolds(tx, Store.parse(row));
    if (held !== null)
      return refuse({ code: "store_in_use", message: `The store ${row.name} cannot be removed: ${held}.`, subject: row.name });
    await tx.delete(stores).where(eq(stores.id, id));
    return ok(Store.parse(row));
  });
}

async function whatHolds(tx: Database, { id, isDefault }: Store): Promise<string | null> {
  if (isDefault) return "it is the default store";
  const versions = await tx.$count(imageVersions, eq(imageVersions.storeId, id));
  if (versions > 0) return `${versions} ${versions === 1 ? "version lies" : "versions lie"} in it`;
  const archives = await tx.$count(imageArchives, eq(imageArchives.storeId, id));
  if (archives > 0) return `${archives} of its archives ${archives === 1 ? "is" : "are"} imported`;
  // A push or a conversion says where it writes before it is started.
  const going = sql`${operations.state} not in ('done', 'failed', 'cancelled') and (${operations.input} ->> 'storeId' = ${id} or ${operations.input} ->> 'writesTo' = ${id})`;
  return (await tx.$count(operations, going)) > 0 ? "a push to it is under way" : null;
}

/** Whether the store answered when it was last used. */
export async function markStore(db: Database, id: string, state: Store["state"]): Promise<void> {
  await db
    .update(stores)
    .set({ state })
    .where(and(eq(stores.id, id), sql`${stores.state} <> ${state}`));
}
