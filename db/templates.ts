/**
 * Templates of the Packer builder, kept under the ids that callers gave them.
 *
 * The one idea: an id names one template in a project, in any case; a row says who may see it.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { packerTemplates } from "./schema.ts";

export type PackerTemplate = typeof packerTemplates.$inferSelect;
export type PackerTemplateValues = Omit<PackerTemplate, "id" | "project" | "createdAt" | "updatedAt">;

const named = (project: string, id: string) => and(eq(packerTemplates.project, project), sql`lower(${packerTemplates.id}) = lower(${id})`);

export const listTemplates = (db: Database, project: string): Promise<PackerTemplate[]> =>
  db
    .select()
    .from(packerTemplates)
    .where(eq(packerTemplates.project, project))
    .orderBy(asc(packerTemplates.createdAt), asc(packerTemplates.id));

/** `lock` keeps it as it is until the caller's transaction ends. */
export async function findTemplate(
  db: Database,
  project: string,
  id: string,
  { lock = false }: { lock?: boolean } = {},
): Promise<PackerTemplate | null> {
  const query = db.select().from(packerTemplates).where(named(project, id));
  const [row] = await (lock ? query.for("update") : query);
  return row ?? null;
}

/** `null`: there is one of that id. */
export async function insertTemplate(
  tx: Database,
  project: string,
  id: string,
  values: PackerTemplateValues,
): Promise<PackerTemplate | null> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`packer-template/${project}`}, 0))`);
  if (await findTemplate(tx, project, id)) return null;
  const [row] = await tx
    .insert(packerTemplates)
    .values({ project, id, ...values })
    .returning();
  return row ?? null;
}

/** Changes one whose row the caller has locked. */
export async function changeTemplate(
  tx: Database,
  { project, id }: Pick<PackerTemplate, "project" | "id">,
  values: PackerTemplateValues,
): Promise<PackerTemplate | null> {
  const [row] = await tx
    .update(packerTemplates)
    .set({ ...values, updatedAt: sql`clock_timestamp()` })
    .where(named(project, id))
    .returning();
  return row ?? null;
}

export async function removeTemplate(tx: Database, { project, id }: Pick<PackerTemplate, "project" | "id">): Promise<void> {
  await tx.delete(packerTemplates).where(named(project, id));
}
