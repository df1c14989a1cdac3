/**
 * Projects: what they may have, and what they have.
 *
 * The one idea: whoever adds to a project that has limits holds its row until what was added is committed, so two who ask at once are counted one after
 * the other. A project without limits is not locked.
 */
import { asc, eq, sql, type SQL } from "drizzle-orm";
import { Project, withinQuota, type Quota, type Usage } from "../domain/access/projects.ts";
import { ok, refuse, unwrap, type Result } from "../domain/errors.ts";
import type { Database } from "./connect.ts";
import { imageVersions, machines, operations, projects, users } from "./schema.ts";

/** With its table's name, which a select of one table leaves out: inside, another table has an id too. */
const own = sql.raw('"projects"."id"');
const living = sql`from ${machines} m where m.project = ${own} and m.retired_at is null`;
/** What machines of it get more by an operation under way: none of it is in their rows yet. In the words of the index of what is unsettled. */
const grows = (wanted: "vcpus" | "memoryBytes", has: SQL) =>
  sql`coalesce((select sum(greatest(0, (o.input->'action'->>'${sql.raw(wanted)}')::float8 - ${has})) from ${operations} o join ${machines} m on m.id = o.machine_id where o.state not in ('done', 'failed', 'cancelled') and o.verb = 'configure' and m.project = ${own} and m.retired_at is null), 0)`;
const stored = sql<number>`(select coalesce(sum(v.stored_bytes), 0)::float8 from ${imageVersions} v where v.project = ${own})`;
const selected = {
  row: projects,
  machines: sql<number>`(select count(*)::int ${living})`,
  vcpus: sql<number>`((select coalesce(sum(m.vcpus), 0) ${living}) + ${grows("vcpus", sql`m.vcpus`)})::int`,
  memoryBytes: sql<number>`((select coalesce(sum(m.memory_bytes), 0) ${living}) + ${grows("memoryBytes", sql`m.memory_bytes`)})::float8`,
  storageBytes: stored,
  users: sql<number>`(select count(*)::int from ${users} u where u.project = ${own})`,
};
type Row = Usage & { readonly row: typeof projects.$inferSelect; readonly users: number };

const quotaOf = ({ maxMachines, maxVcpus, maxMemoryBytes, maxStorageBytes }: typeof projects.$inferSelect): Quota => ({
  machines: maxMachines,
  vcpus: maxVcpus,
  memoryBytes: maxMemoryBytes,
  storageBytes: maxStorageBytes,
});
const whole = ({ row, users: members, ...used }: Row): Project =>
  Project.parse({ id: row.id, createdAt: row.createdAt, quota: quotaOf(row), used, users: members });

export const listProjects = async (db: Database): Promise<Project[]> =>
  (await db.select(selected).from(projects).orderBy(asc(projects.id))).map(whole);

export async function findProject(db: Database, id: string): Promise<Result<Project>> {
  const [row] = await db.select(selected).from(projects).where(eq(projects.id, id));
  return row ? ok(whole(row)) : refuse({ code: "project_not_found", message: `There is no project ${id}.`, subject: id });
}

/** `false`: there is one of that name. */
export async function addProject(tx: Database, id: string): Promise<boolean> {
  return (await tx.insert(projects).values({ id }).onConflictDoNothing().returning({ id: projects.id })).length === 1;
}

/** What is there already stays, however low the new limits are. */
export async function setQuota(tx: Database, id: string, { machines: most, vcpus, memoryBytes, storageBytes }: Quota): Promise<void> {
  const limits = { maxMachines: most, maxVcpus: vcpus, maxMemoryBytes: memoryBytes, maxStorageBytes: storageBytes };
  await tx.update(projects).set(limits).where(eq(projects.id, id));
}

/** Throws where the project may not have this much more; what it has then stays as it was counted until the caller's transaction ends. */
export async function mustFit(tx: Database, id: string, asked: Partial<Usage>): Promise<void> {
  const [row] = await tx.select().from(projects).where(eq(projects.id, id));
  if (!row || Object.values(quotaOf(row)).every((limit) => limit === null)) return;
  await tx.select({ id: projects.id }).from(projects).where(eq(projects.id, id)).for("no key update");
  const { quota, used } = unwrap(await findProject(tx, id));
  unwrap(withinQuota(id, { quota, used }, asked));
}
