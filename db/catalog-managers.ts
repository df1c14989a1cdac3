/**
 * Catalog managers as rows. Their credentials stay sealed; who may open them asks for them apart.
 *
 * The one idea: a row is found by its id only, in any case: names are its owner's, and two owners may like the same one.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import { CatalogManager } from "../domain/catalog/managers.ts";
import type { Database } from "./connect.ts";
import { catalogManagers as managers } from "./schema.ts";

export type CatalogManagerValues = Omit<CatalogManager, "id" | "project" | "createdAt" | "updatedAt">;

const named = (id: string, project?: string) =>
  and(sql`lower(${managers.id}) = lower(${id})`, project === undefined ? undefined : eq(managers.project, project));

export async function listCatalogManagers(db: Database, project: string): Promise<CatalogManager[]> {
  const rows = await db.select().from(managers).where(eq(managers.project, project)).orderBy(asc(managers.createdAt), asc(managers.id));
  return rows.map((row) => CatalogManager.parse(row));
}

/** `lock` keeps it as it is until the caller's transaction ends. Without a project, whosever it is. */
export async function findCatalogManager(
  db: Database,
  id: string,
  { project, lock = false }: { project?: string; lock?: boolean } = {},
): Promise<CatalogManager | null> {
  const query = db.select().from(managers).where(named(id, project));
  const [row] = await (lock ? query.for("update") : query);
  return row ? CatalogManager.parse(row) : null;
}

export async function sealedManagerCredentials(db: Database, id: string): Promise<Uint8Array | null> {
  const [row] = await db.select({ sealed: managers.sealed }).from(managers).where(named(id));
  return row?.sealed ?? null;
}

/** `null`: there is one of that id. */
export async function insertCatalogManager(
  db: Database,
  row: CatalogManagerValues & Pick<CatalogManager, "id" | "project"> & { readonly sealed: Uint8Array | null },
): Promise<CatalogManager | null> {
  const [made] = await db.insert(managers).values(row).onConflictDoNothing().returning();
  return made ? CatalogManager.parse(made) : null;
}

export async function changeCatalogManager(
  db: Database,
  id: string,
  changes: Partial<CatalogManagerValues> & { readonly sealed?: Uint8Array },
): Promise<CatalogManager | null> {
  const [row] = await db
    .update(managers)
    .set({ ...changes, updatedAt: sql`clock_timestamp()` })
    .where(named(id))
    .returning();
  return row ? CatalogManager.parse(row) : null;
}

export async function removeCatalogManager(db: Database, id: string): Promise<void> {
  await db.delete(managers).where(named(id));
}
