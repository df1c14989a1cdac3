/** The rows of many machines that are made at once: added all or not at all, and locked in one order. */
import { and, asc, inArray, isNull, sql } from "drizzle-orm";
import { defaultProject } from "../domain/access/rules.ts";
import { Machine } from "../domain/machines/schema.ts";
import type { Database } from "./connect.ts";
import { nameTaken, type NewMachineRow } from "./machines.ts";
import { mustFit } from "./projects.ts";
import { machines } from "./schema.ts";

/** Adds machines of one project; refused like a single one when any name is taken or the project may not have them all. */
export async function insertMachines(db: Database, rows: readonly NewMachineRow[]): Promise<Machine[]> {
  const [first] = rows;
  if (!first) return [];
  const sum = (column: "vcpus" | "memoryBytes") => rows.reduce((total, row) => total + row[column], 0);
  await mustFit(db, first.project ?? defaultProject, { machines: rows.length, vcpus: sum("vcpus"), memoryBytes: sum("memoryBytes") });
  await lockNames(
    db,
    rows.map(({ name }) => name),
  );
  const expiring = rows.map(({ ttlSeconds, ...row }) => ({
    ...row,
    expiresAt: ttlSeconds === undefined ? null : sql`now() + make_interval(secs => ${ttlSeconds})`,
  }));
  const made = await db.insert(machines).values(expiring).onConflictDoNothing().returning();
  const missing = rows.find(({ id }) => !made.some((one) => one.id === id));
  if (missing) throw nameTaken(missing.name);
  const byId = new Map(made.map((row) => [row.id, Machine.parse(row)]));
  return rows.flatMap(({ id }) => byId.get(id ?? "") ?? []);
}

/** In one order, so that two who want several names wait for each other and not in a circle. */
async function lockNames(tx: Database, names: readonly string[]): Promise<void> {
  const subjects = names.map((name) => `machine-name/${name.toLowerCase()}`).toSorted();
  await tx.execute(sql`
    select pg_advisory_xact_lock(hashtextextended(t.subject, 0))
    from jsonb_array_elements_text(${JSON.stringify(subjects)}::jsonb) as t(subject)`);
}

/** Living machines by id, locked in one order. */
export const lockMachines = (tx: Database, ids: readonly string[]) =>
  tx
    .select()
    .from(machines)
    .where(and(inArray(machines.id, [...ids]), isNull(machines.retiredAt)))
    .orderBy(asc(machines.id))
    .for("update");
