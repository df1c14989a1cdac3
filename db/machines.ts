/**
 * Machines: what is desired of them, what is observed.
 *
 * The one idea: a machine's row is the lock of everything that is asked of it; a retired row stays as memory, and its name is free.
 */
import { and, eq, isNull, ne, or, sql } from "drizzle-orm";
import type { PgUpdateSetSource } from "drizzle-orm/pg-core";
import { defaultProject, type Reader } from "../domain/access/rules.ts";
import { FaultError, ok, refuse, type Result } from "../domain/errors.ts";
import { Uuid } from "../domain/ids.ts";
import type { MachineState } from "../domain/machines/rules.ts";
import { Machine } from "../domain/machines/schema.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { heldAny } from "./guarded.ts";
import { busy } from "./holds.ts";
import { unsettledOperations } from "./operations.ts";
import { mustFit } from "./projects.ts";
import { afterCursor, newestFirst, pageOf, placeOf, type Page, type PageAsk } from "./pages.ts";
import { machines } from "./schema.ts";

export type NewMachineRow = Omit<typeof machines.$inferInsert, "createdAt" | "updatedAt" | "retiredAt" | "expiresAt"> & {
  readonly ttlSeconds?: number | undefined;
};
export type MachineChanges = Omit<PgUpdateSetSource<typeof machines>, "id" | "project" | "createdAt" | "updatedAt">;

/** The machines that `mayReach` lets a reader reach, as a condition of a query. */
export const reachedBy = ({ project, userId, isSuperUser, roles, claims }: Reader) =>
  and(
    eq(machines.project, project),
    isSuperUser
      ? undefined
      : or(eq(machines.owner, userId), and(heldAny(machines.requiredRoles, roles), heldAny(machines.requiredClaims, claims))),
  );

/** A living machine by id or, in any case, by name; of those that `reader` reaches. `lock` keeps it as it is until the caller's transaction ends. */
export async function findMachine(
  db: Database,
  idOrName: string,
  { lock = false, reader }: { lock?: boolean; reader?: Reader } = {},
): Promise<Result<Machine>> {
  const id = Uuid.safeParse(idOrName);
  const named = id.success ? eq(machines.id, id.data) : sql`lower(${machines.name}) = lower(${idOrName})`;
  const query = db
    .select()
    .from(machines)
    .where(and(named, isNull(machines.retiredAt), reader === undefined ? undefined : reachedBy(reader)));
  const [row] = await (lock ? query.for("update") : query);
  return row ? ok(Machine.parse(row)) : noMachine(idOrName);
}

/** A machine by id, retired or not. */
export async function findAnyMachine(db: Database, id: string): Promise<Result<Machine>> {
  const [row] = Uuid.safeParse(id).success ? await db.select().from(machines).where(eq(machines.id, id)) : [];
  return row ? ok(Machine.parse(row)) : noMachine(id);
}

/** One that was retired in the last hour: whoever asks again for its end gets the same answer. */
export async function findLatelyRetired(db: Database, id: string): Promise<Machine | null> {
  if (!Uuid.safeParse(id).success) return null;
  const [row] = await db
    .select()
    .from(machines)
    .where(and(eq(machines.id, id.toLowerCase()), sql`${machines.retiredAt} > now() - interval '1 hour'`));
  return row ? Machine.parse(row) : null;
}

export interface MachineFilter {
  readonly reader?: Reader | undefined;
  readonly name?: string | undefined;
  readonly hostId?: string | undefined;
  readonly state?: MachineState | undefined;
  readonly image?: string | undefined;
  readonly owner?: string | undefined;
}

/** The condition of a page of living machines. */
export function wantedMachines(filter: MachineFilter, cursor: string | undefined) {
  const { reader, name, hostId, state, image, owner } = filter;
  return and(
    isNull(machines.retiredAt),
    afterCursor(machines, cursor),
    reader === undefined ? undefined : reachedBy(reader),
    name === undefined ? undefined : sql`lower(${machines.name}) = lower(${name})`,
    hostId === undefined ? undefined : eq(machines.hostId, hostId),
    state === undefined ? undefined : eq(machines.observed, state),
    owner === undefined ? undefined : eq(machines.owner, owner),
    image === undefined ? undefined : sql`(${machines.image} = ${image} or starts_with(${machines.image}, ${`${image}/`}))`,
  );
}

export async function listMachines(db: Database, filter: MachineFilter, { cursor, limit }: PageAsk): Promise<Page<Machine>> {
  const rows = await db
    .select({ row: machines, at: placeOf(machines) })
    .from(machines)
    .where(wantedMachines(filter, cursor))
    .orderBy(newestFirst(machines))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => Machine.parse(row));
}

/** Adds a machine; `machine_exists` when a living one has its name, `quota_exceeded` where its project may have no more. */
export async function insertMachine(db: Database, { ttlSeconds, ...row }: NewMachineRow): Promise<Machine> {
  const expiresAt = ttlSeconds === undefined ? null : sql`now() + make_interval(secs => ${ttlSeconds})`;
  await mustFit(db, row.project ?? defaultProject, { machines: 1, vcpus: row.vcpus, memoryBytes: row.memoryBytes });
  await lockName(db, row.name);
  const [made] = await db
    .insert(machines)
    .values({ ...row, expiresAt })
    .onConflictDoNothing()
    .returning();
  if (!made) throw nameTaken(row.name);
  return Machine.parse(made);
}

/** Changes whenever the machine's row does; the row stays as it is until the caller's transaction ends. */
export async function lockVersion(tx: Database, id: string): Promise<string> {
  const version = sql<string>`${machines}.xmin::text || ${machines.id}`;
  const [row] = await tx.select({ version }).from(machines).where(eq(machines.id, id)).for("update");
  return row?.version ?? "";
}

/** Changes a living machine; `null` when it is none any more. */
export async function updateMachine(db: Database, id: string, changes: MachineChanges): Promise<Machine | null> {
  const [row] = await db
    .update(machines)
    .set({ ...changes, updatedAt: sql`now()` })
    .where(and(eq(machines.id, id), isNull(machines.retiredAt)))
    .returning();
  return row ? Machine.parse(row) : null;
}

/**
 * What callers may change without an operation. `ttlSeconds` counts from now, by the database's clock; null lets the machine live. Whoever prolongs a
 * machine's life is told `machine_busy` when its end has begun: what was accepted is never retired.
 */
export async function amendMachine(
  tx: Database,
  id: string,
  {
    ttlSeconds,
    ...changes
  }: Pick<MachineChanges, "labels" | "description" | "requiredRoles" | "requiredClaims" | "expiresAt"> & {
    ttlSeconds?: number | null | undefined;
  },
): Promise<Machine | null> {
  const found = await findMachine(tx, id, { lock: true });
  if (!found.ok) return null;
  if (ttlSeconds !== undefined || changes.expiresAt !== undefined) {
    const [retire] = await unsettledOperations(tx, { machineId: id, verb: "retire", limit: 1 });
    if (retire) throw busy("machine", found.value.name, { operationId: retire.id, ...retire });
  }
  if (ttlSeconds === undefined) return updateMachine(tx, id, changes);
  const expiresAt = ttlSeconds === null ? null : sql`clock_timestamp() + make_interval(secs => ${ttlSeconds})`;
  return updateMachine(tx, id, { ...changes, expiresAt });
}

/** What a host or an operation saw, told as an event when it is another state than before. */
export async function observeMachine(
  db: Database,
  id: string,
  observed: MachineState,
  changes: MachineChanges = {},
): Promise<Machine | null> {
  const before = await findMachine(db, id, { lock: true });
  if (!before.ok) return null;
  const after = await updateMachine(db, id, { ...changes, observed, observedAt: sql`clock_timestamp()` });
  if (before.value.observed !== observed)
    await tellMachine(db, before.value, "machine.observed", { observed, before: before.value.observed });
  return after;
}

/** What an operation brought the machine to. What its host saw before, or in an earlier boot, says nothing of it any more. */
export async function recordActed(tx: Database, id: string, observed: MachineState, changes: MachineChanges = {}): Promise<Machine | null> {
  const seenBoot = sql`(select h.boot_id from hosts h where h.id = ${machines.hostId})`;
  return observeMachine(tx, id, observed, { ...changes, actedAt: sql`clock_timestamp()`, seenBoot });
}

/** Marks the machines that an operation holds as acted on until now. */
export async function markActed(tx: Database, operationId: string): Promise<void> {
  const held = sql`${machines.id} in (select case when h.kind = 'machine' then h.subject_id::uuid end from holds h where h.kind = 'machine' and h.mode = 'exclusive' and h.operation_id = ${operationId})`;
  await tx
    .update(machines)
    .set({ actedAt: sql`clock_timestamp()` })
    .where(and(isNull(machines.retiredAt), held));
}

/** Gives a machine another name, unless a living one has it. */
export async function renameMachine(tx: Database, id: string, name: string): Promise<void> {
  if (!(await isNameFree(tx, id, name))) throw nameTaken(name);
  await updateMachine(tx, id, { name });
}

/** Whether no other living machine has the name; true until the caller's transaction ends. */
export async function isNameFree(tx: Database, id: string, name: string): Promise<boolean> {
  await lockName(tx, name);
  const holder = and(isNull(machines.retiredAt), sql`lower(${machines.name}) = lower(${name})`, ne(machines.id, id));
  return (await tx.select({ id: machines.id }).from(machines).where(holder)).length === 0;
}

/** Living machines whose disks lie in this one's bundle. */
export async function linkedClonesOf(db: Database, id: string): Promise<{ name: string }[]> {
  return db
    .select({ name: machines.name })
    .from(machines)
    .where(and(eq(machines.linkedTo, id), isNull(machines.retiredAt)))
    .orderBy(machines.name);
}

/** The end of a machine: its name is free, its row stays as memory. Ending it twice is ending it once. */
export async function retireRow(db: Database, id: string, name: "machine.retired" | "machine.forgotten"): Promise<void> {
  const at = { observedAt: sql`now()`, retiredAt: sql`now()`, updatedAt: sql`now()` };
  const gone = { desired: "absent", observed: "absent", pending: null, ...at } as const;
  const [row] = await db
    .update(machines)
    .set(gone)
    .where(and(eq(machines.id, id), isNull(machines.retiredAt)))
    .returning();
  if (row) await tellMachine(db, Machine.parse(row), name, {});
}

/** When the operation that makes a machine, of an image or of another one, was done; null as long as it is not. */
export const madeAt = sql<Date | null>`(select max(d.ended_at) from operations d where d.state = 'done'
  and ((d.verb = 'provision' and d.machine_id = ${machines.id}) or (d.verb = 'clone' and d.input->'before'->>'cloneId' = ${machines.id}::text)))`;

/** Lets a machine go that was to be adopted and was not: it is what it was before, in no row. */
export async function dropAdopted(tx: Database, id: string): Promise<boolean> {
  const half = and(eq(machines.id, id), eq(machines.origin, "adopted"), eq(machines.observed, "making"));
  return (await tx.delete(machines).where(half).returning({ id: machines.id })).length === 1;
}

/**
 * Machines that should end by themselves: their time to live is over, or their making ended from outside and left them half made. Not those whose end is
 * under way, or failed in the last five minutes.
 */
export async function machinesToRetire(db: Database, { limit, id }: { limit: number; id?: string }): Promise<Machine[]> {
  const ending = sql`exists (select 1 from operations o where o.machine_id = ${machines.id} and o.verb = 'retire'
    and (o.state not in ('done', 'failed', 'cancelled') or o.ended_at > now() - interval '5 minutes'))`;
  const held = sql`exists (select 1 from holds h where h.kind = 'machine' and h.subject_id = ${machines.id}::text)`;
  // What linked clones stand on goes when the last of them has gone.
  const carries = sql`exists (select 1 from machines c where c.linked_to = ${machines.id} and c.retired_at is null)`;
  // What was made to its end, or adopted, is nobody's to end: the compare loop finds out what it is.
  const whole = sql`(${machines.origin} = 'adopted' or ${madeAt} is not null)`;
  const halfMade = and(eq(machines.observed, "making"), sql`not ${held} and not ${whole}`);
  const due = or(sql`${machines.expiresAt} <= clock_timestamp()`, halfMade);
  const rows = await db
    .select()
    .from(machines)
    .where(
      and(isNull(machines.retiredAt), due, sql`not ${ending}`, sql`not ${carries}`, id === undefined ? undefined : eq(machines.id, id)),
    )
    .orderBy(machines.createdAt)
    .limit(limit);
  return rows.map((row) => Machine.parse(row));
}

export async function tellMachine(
  db: Database,
  machine: Pick<Machine, "id" | "name" | "project">,
  name: string,
  body: Record<string, unknown>,
): Promise<void> {
  await recordEvent(db, { type: "machine", name, subjectId: machine.id, project: machine.project, body: { name: machine.name, ...body } });
}

/** Two who want one name come one after the other, so that the second reads what the first wrote. */
async function lockName(tx: Database, name: string): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`machine-name/${name.toLowerCase()}`}, 0))`);
}

export const noMachine = (name: string): Result<never> =>
  refuse({ code: "machine_not_found", message: `There is no machine ${name}.`, subject: name });
export const nameTaken = (name: string): FaultError =>
  new FaultError({ code: "machine_exists", message: `A machine named ${name} exists already.`, subject: name });
