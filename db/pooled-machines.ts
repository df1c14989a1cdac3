/**
 * The machines of pools: what each is to its pool, and who leases it.
 *
 * The one idea: a lease takes one row that nobody else holds, and looks at it again once it is locked; of a hundred who lease at once, none waits for another.
 */
import { and, eq, sql, type SQL } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import { Uuid } from "../domain/ids.ts";
import { Machine, type Pending } from "../domain/machines/schema.ts";
import type { FaultRecord } from "../domain/operations/schema.ts";
import type { IdleState, Making, Pooled } from "../domain/pools/rules.ts";
import type { PooledMachine } from "../domain/pools/schema.ts";
import { hostStateAt, lateAfterMs, lostAfterMs } from "../domain/hosts/rules.ts";
import type { Database } from "./connect.ts";
import { findMachine, updateMachine } from "./machines.ts";
import { machines, pooledMachines } from "./schema.ts";

/** What a pool's machine is now, for the rules and for people. */
export interface PooledRow extends Pooled {
  readonly shown: Omit<PooledMachine, "standing" | "reason" | "isCurrent">;
}

/** Whoever did this did not make the machine ready for its pool. */
const rested = sql`o.verb = 'suspend' and o.actor_id = 'system'`;
const foreign = sql`o.verb <> 'provision' and not (${rested} and o.state not in ('failed', 'cancelled'))`;
/** What leaves a machine on or off, so that the last one of them tells which it should be. */
const powering = sql`o.verb in ('provision', 'start', 'resume', 'restart', 'reset', 'stop', 'suspend', 'snapshot-revert')`;
const open = sql`o.state not in ('done', 'failed', 'cancelled')`;

/** The living machines of a pool, oldest first. `digest`: what its image is now; null where nobody can tell. */
export async function machinesOfPool(
  db: Database,
  { id, revision }: { id: string; revision: number },
  digest: string | null,
): Promise<PooledRow[]> {
  const rows = await db
    .select({
      machine: machines,
      pooled: pooledMachines,
      underWay: sql<Pooled["underWay"]>`array(select o.verb from operations o where o.machine_id = ${machines.id} and ${open})`,
      isDue: sql<boolean>`coalesce(${machines.expiresAt} <= clock_timestamp(), false)`,
      isTouched: sql<boolean>`exists (select 1 from operations o where o.machine_id = ${machines.id} and ${foreign})`,
      isSwitchedOff: sql<boolean>`coalesce((select o.verb in ('stop', 'suspend', 'snapshot-revert') from operations o
        where o.machine_id = ${machines.id} and o.state = 'done' and ${powering} order by o.ended_at desc limit 1), false)`,
      silentMs: sql<number | null>`(select extract(epoch from clock_timestamp() - h.last_report_at)::float8 * 1000
        from hosts h where h.id = ${machines.hostId})`,
    })
    .from(pooledMachines)
    .innerJoin(machines, eq(machines.id, pooledMachines.machineId))
    .where(and(eq(pooledMachines.poolId, id), sql`not ${pooledMachines.isOver} and ${machines.retiredAt} is null`))
    .orderBy(pooledMachines.createdAt);
  return rows.map(({ machine, pooled, silentMs, isTouched, ...told }) => ({
    ...told,
    // One that waits has no end of its own, unless somebody gave it one.
    isTouched: isTouched || machine.expiresAt !== null,
    machineId: machine.id,
    desired: machine.desired,
    observed: machine.observed,
    isDrifted: machine.drift.length > 0,
    isLeased: pooled.leaseId !== null,
    lacking: lackingOf(machine.pending),
    isHostSilent: machine.hostId !== null && hostStateAt(silentMs) === "lost",
    // As long as nobody can tell what the image is now, nothing is outdated.
    isCurrent: pooled.revision === revision && (digest === null || machine.digest === digest),
    madeAt: pooled.createdAt,
    shown: shownOf(machine, pooled),
  }));
}

/** Three hosts are enough to see what is short. */
const lackingOf = (pending: Pending | null): string | null =>
  pending &&
  (pending.hosts
    .slice(0, 3)
    .map(({ host, lacks }) => `${host} ${lacks.join(", ") || "keeps what it has for requests before"}.`)
    .join(" ") ||
    "no host takes work.");

function shownOf(
  { id: machineId, name, hostId, image, digest, addresses, expiresAt, createdAt }: typeof machines.$inferSelect,
  { leaseId, leasedBy, leasedAt }: typeof pooledMachines.$inferSelect,
): PooledRow["shown"] {
  return { machineId, name, hostId, image, digest, addresses, leaseId, leasedBy, leasedAt, expiresAt, createdAt };
}

/** How the last makings of a pool ended, the newest first, since it or its image was changed. Ten failures change nothing more, and are made within three hours. */
export async function makingsOf(
  db: Database,
  { id, idleState, since, digest }: { id: string; idleState: IdleState; since: Date; digest: string | null },
): Promise<Making[]> {
  // One that is to wait suspended is made once it is.
  const made = idleState === "running" ? sql`o.verb = 'provision'` : sql`${rested} or (o.verb = 'provision' and o.state <> 'done')`;
  const rows = await db.execute<{ fault: FaultRecord | null; state: string; ended_at: string }>(sql`
    select o.fault, o.state, o.ended_at from pooled_machines p join operations o on o.machine_id = p.machine_id and (${made})
      join machines m on m.id = p.machine_id and (${digest}::text is null or m.digest = ${digest})
    where p.pool_id = ${id} and p.created_at > now() - interval '3 hours' and o.ended_at is not null and o.created_at >= ${since.toISOString()}::timestamptz
    order by o.ended_at desc limit 10`);
  const unknown: FaultRecord = { code: "internal", message: "Nobody knows why.", remedy: "Look at the operation." };
  return rows.map(({ fault, state, ended_at: at }) => ({ fault: state === "done" ? null : (fault ?? unknown), endedAt: new Date(at) }));
}

export async function addPooled(tx: Database, pooled: { machineId: string; poolId: string; revision: number }): Promise<void> {
  await tx.insert(pooledMachines).values(pooled);
}

/** Marks the rows of machines that have ended; those that ended a day ago tell nothing any more. */
export async function closeEnded(db: Database, poolId: string): Promise<void> {
  await db.execute(sql`update pooled_machines p set is_over = true from machines m
    where p.pool_id = ${poolId} and not p.is_over and m.id = p.machine_id and m.retired_at is not null`);
  await db.execute(sql`delete from pooled_machines p using machines m
    where p.pool_id = ${poolId} and p.created_at < now() - interval '1 day' and m.id = p.machine_id and m.retired_at < now() - interval '1 day'`);
}

export interface Leasing {
  readonly poolId: string;
  readonly revision: number;
  readonly idleState: IdleState;
  readonly leaseId: string;
  readonly leasedBy: string;
  readonly leasedById: string;
  readonly ttlSeconds: number;
}
export interface Leased {
  readonly leaseId: string;
  readonly leasedBy: string;
  readonly leasedById: string;
  readonly leasedAt: Date;
  readonly machine: Machine;
}

/** Takes one idle machine for a caller, whose own it is from now on; null when none is idle. Those of the pool as it is now come first, and the oldest of them. */
export async function leaseMachine(tx: Database, wanted: Leasing): Promise<Leased | null> {
  const { leaseId, leasedBy, leasedById } = wanted;
  const machine = await takeIdle(tx, wanted);
  if (!machine) return null;
  const [row] = await tx
    .update(pooledMachines)
    .set({ leaseId, leasedBy, leasedById, leasedAt: sql`clock_timestamp()` })
    .where(eq(pooledMachines.machineId, machine.id))
    .returning();
  if (!row?.leasedAt)
    throw new FaultError({ code: "internal", message: `${machine.name} went while it was leased.`, subject: machine.name });
  return { leaseId, leasedBy, leasedById, leasedAt: row.leasedAt, machine };
}

async function takeIdle(tx: Database, leasing: Leasing): Promise<Machine | null> {
  const { idleState, leasedById, ttlSeconds } = leasing;
  const passed: string[] = [];
  for (;;) {
    const id = await lockIdle(tx, leasing, passed);
    if (id === null) return null;
    // Looked at again under its lock: whoever asked something of it before has committed that by now.
    const [taken] = await tx
      .update(machines)
      .set({ owner: leasedById, expiresAt: sql`clock_timestamp() + make_interval(secs => ${ttlSeconds})`, updatedAt: sql`now()` })
      .where(sql`${machines.id} in (select m.id from ${joined} where m.id = ${id} and ${waiting(idleState)})`)
      .returning();
    if (taken) return Machine.parse(taken);
    passed.push(id);
  }
}

/**
 * One that nobody else holds. A host's report holds all of its machines for a moment, and where there is nothing else that moment is waited for: without keeping
 * what was waited for, and only by who keeps nothing yet, since the report might wait for that.
 */
async function lockIdle(tx: Database, { poolId, revision, idleState }: Leasing, passed: readonly string[]): Promise<string | null> {
  const late = sql`h.last_report_at < clock_timestamp() - make_interval(secs => ${lateAfterMs / 1000})`;
  const idle = sql`select m.id from ${joined}
    where p.pool_id = ${poolId} and not p.is_over and ${waiting(idleState)} and m.id <> all(${sql.param([...passed])}::uuid[])
    order by ${late}, (p.revision = ${revision}) desc, p.created_at limit 1`;
  const find = async (locking: SQL) => (await tx.execute<{ id: string }>(sql`${idle} ${locking}`))[0]?.id ?? null;
  for (;;) {
    const free = await find(sql`for update of p, m skip locked`);
    if (free !== null || passed.length > 0) return free;
    const held = await find(sql``);
    if (held === null) return null;
    await tx.execute(sql`savepoint waiting`);
    await tx.execute(sql`select 1 from machines where id = ${held} for update`);
    await tx.execute(sql`rollback to savepoint waiting`);
  }
}

const joined = sql`pooled_machines p join machines m on m.id = p.machine_id join hosts h on h.id = m.host_id`;

/** What `judge` calls idle, in the words of the database. */
const waiting = (
  idleState: IdleState,
) => sql`p.lease_id is null and m.retired_at is null and m.desired = ${idleState} and m.observed = ${idleState}
  and m.drift = '[]'::jsonb and h.last_report_at > clock_timestamp() - make_interval(secs => ${lostAfterMs / 1000})
  and m.expires_at is null and not exists (select 1 from operations o where o.machine_id = m.id and (${open} or ${foreign}))`;

/** A lease by its id or by its machine, which may have ended. */
export async function findLease(db: Database, poolId: string, by: string | { machineId: string }): Promise<Leased | null> {
  const id = Uuid.safeParse(by);
  if (typeof by === "string" && !id.success) return null;
  const named = typeof by === "string" ? eq(pooledMachines.leaseId, by) : eq(pooledMachines.machineId, by.machineId);
  const [row] = await db
    .select({ machine: machines, pooled: pooledMachines })
    .from(pooledMachines)
    .innerJoin(machines, eq(machines.id, pooledMachines.machineId))
    .where(and(eq(pooledMachines.poolId, poolId), named));
  if (!row?.pooled.leasedAt || row.pooled.leaseId === null) return null;
  const { leaseId, leasedBy, leasedById, leasedAt } = row.pooled;
  return { leaseId, leasedBy: leasedBy ?? "", leasedById: leasedById ?? "", leasedAt, machine: Machine.parse(row.machine) };
}

/** Takes back a lease whose machine nobody has used. */
export async function unlease(
  tx: Database,
  { machineId, leaseId, owner }: { machineId: string; leaseId: string; owner: string },
): Promise<void> {
  const none = { leaseId: null, leasedBy: null, leasedById: null, leasedAt: null };
  const mine = and(eq(pooledMachines.machineId, machineId), eq(pooledMachines.leaseId, leaseId));
  const [row] = await tx.update(pooledMachines).set(none).where(mine).returning();
  if (row) await updateMachine(tx, machineId, { owner, expiresAt: null });
}

/** From now on its time is over, so nobody can lease it any more; `false` where somebody leased it meanwhile, or it has ended. */
export async function makeDue(tx: Database, { machineId, isLeased }: { machineId: string; isLeased: boolean }): Promise<boolean> {
  const found = await findMachine(tx, machineId, { lock: true });
  const [row] = await tx.select().from(pooledMachines).where(eq(pooledMachines.machineId, machineId));
  if (!found.ok || !row || (row.leaseId !== null) !== isLeased) return false;
  await updateMachine(tx, machineId, { expiresAt: sql`clock_timestamp()` });
  return true;
}
