/**
 * Keeps pools: makes what is missing, ends what is too many, spoiled or outdated, and says why fewer wait than should.
 *
 * The one idea: everything is decided anew from rows, under the pool's lock where machines are made, so whoever settles a pool, once or twice or after a crash, ends
 * where the other would. Its workflow only says when.
 */
import { randomUUID } from "node:crypto";
import type { Database } from "../db/connect.ts";
import { addPooled, closeEnded, machinesOfPool, makeDue, makingsOf, type PooledRow } from "../db/pooled-machines.ts";
import { allPools, noteRefused, readPool, removePool, type KeptPool } from "../db/pools.ts";
import { FaultError, type Fault } from "../domain/errors.ts";
import { hubQueue, faultRecord } from "../domain/operations/rules.ts";
import { NewMachine } from "../domain/machines/schema.ts";
import { judge, planOf, type Plan } from "../domain/pools/rules.ts";
import type { Pool, PooledMachine } from "../domain/pools/schema.ts";
import type { KeepPoolInput, Settled } from "../workflows/pools/keep.ts";
import { chooseImage } from "./catalog.ts";
import { draftMachine, requestAction } from "./machines.ts";
import { retireIfDue, system } from "./retire.ts";
import { answered, startOperation, type Asked, type Control } from "./start.ts";

export interface Look {
  readonly kept: KeptPool;
  readonly rows: readonly PooledRow[];
  readonly plan: Plan;
}

export async function lookAt(db: Database, kept: KeptPool): Promise<Look> {
  const { pool, revision, revisedAt: since, refused, endsLeases } = kept;
  const digest = await digestOf(db, kept);
  const [rows, makings] = [
    await machinesOfPool(db, { id: pool.id, revision }, digest),
    await makingsOf(db, { id: pool.id, idleState: pool.idleState, since, digest }),
  ];
  const { minimumIdle, maximum, idleState, state } = pool;
  const facts = { minimumIdle, maximum, idleState, isEnding: state === "ending", endsLeases, machines: rows, makings, refused };
  return { kept, rows, plan: planOf({ ...facts, now: new Date() }) };
}

/** What its image is now; null where there is none that its owner may have. */
async function digestOf(db: Database, { pool, holder }: KeptPool): Promise<string | null> {
  try {
    return (await chooseImage(db, { project: pool.project, reference: pool.image, preferred: null, holder })).digest;
  } catch (error) {
    if (error instanceof FaultError) return null;
    throw error;
  }
}

export function poolOf({ kept: { pool }, plan: { counts, shortfalls } }: Look): Pool {
  return { ...pool, ...counts, shortfalls: [...shortfalls] };
}

export function pooledOf({ kept: { pool }, rows }: Look): PooledMachine[] {
  return rows.map((row) => ({ ...row.shown, ...judge(row, pool.idleState), isCurrent: row.isCurrent }));
}

/** Looks at a pool and does what differs. Answers when to look again although nothing changed; null once the pool is gone. */
export async function settlePool(control: Control, poolId: string): Promise<Settled> {
  const kept = await readPool(control.db, poolId);
  if (!kept) return { againMs: null, words: "The pool is gone." };
  const { plan, rows } = await lookAt(control.db, kept);
  for (const { machineId, reason } of plan.retire) await end(control, kept, { machineId, reason, isLeased: isLeased(rows, machineId) });
  for (const machineId of plan.suspend) await suspend(control, kept, machineId);
  for (let left = plan.make; left > 0; left--) if (!(await makeOne(control, kept, asOwner(kept)))) break;
  await closeEnded(control.db, poolId);
  if (rows.length === 0 && (await removeEnded(control.db, poolId))) return { againMs: null, words: "The pool is gone." };
  const after = await readPool(control.db, poolId);
  return after ? settledAs(await lookAt(control.db, after)) : { againMs: null, words: "The pool is gone." };
}

const isLeased = (rows: readonly PooledRow[], machineId: string): boolean =>
  rows.some((row) => row.machineId === machineId && row.isLeased);

/** Whatever changes is told at once, or seen by the loop within a second: a look per minute shows operators that the pool is kept. */
const lookAgainMs = 60_000;

function settledAs({ kept: { pool }, plan }: Look): Settled {
  const { idle, making, leased, ending } = plan.counts;
  const counts = `${idle} idle of ${pool.minimumIdle}, ${making} being made, ${leased} leased, ${ending} ending, ${pool.maximum} at most.`;
  const words = [counts, ...plan.shortfalls.map(({ message }) => message)].join("\n\n");
  const untilMs = plan.again ? plan.again.getTime() - Date.now() : lookAgainMs;
  return { againMs: Math.min(Math.max(untilMs, 1_000), lookAgainMs), words };
}

interface Ending {
  readonly machineId: string;
  readonly reason: string;
  readonly isLeased: boolean;
}

/** Whoever leases the machine at this moment has it: its time is over only if nobody did. */
async function end(control: Control, { pool }: KeptPool, { machineId, reason, isLeased: wasLeased }: Ending): Promise<void> {
  const isDue = await control.db.transaction((tx) => makeDue(tx, { machineId, isLeased: wasLeased }));
  if (!isDue) return;
  control.log.info({ event: "pool.retires", pool: pool.name, machineId, reason }, "a machine of a pool is retired");
  try {
    await retireIfDue(control, { id: machineId, project: pool.project });
  } catch (error) {
    // The sweep tries again; the others go on.
    if (!(error instanceof FaultError)) throw error;
    control.log.warn(
      { event: "pool.unretired", pool: pool.name, machineId, fault: error.fault },
      "a machine of a pool could not be retired",
    );
  }
}

async function suspend(control: Control, { pool }: KeptPool, machineId: string): Promise<void> {
  const asked: Asked = { actor: system(pool.project), requestId: null, onFault: "fail" };
  const begun = await requestAction(control, machineId, { verb: "suspend" }, asked);
  if (!begun.ok)
    control.log.warn({ event: "pool.unsuspended", pool: pool.name, machineId, fault: begun.fault }, "a machine could not be suspended");
}

/** One machine more, if one is still missing once the pool is locked. `false`: none is, or none can be asked for. */
async function makeOne(control: Control, { pool: { id, name } }: KeptPool, owner: Asked): Promise<boolean> {
  let isMissing = false;
  const begun = await startOperation(control, owner, async (tx) => {
    const kept = await readPool(tx, id, { lock: true });
    isMissing = kept !== null && (await lookAt(tx, kept)).plan.make > 0;
    if (!kept || !isMissing) throw new FaultError({ code: "pool_ending", message: `No machine of ${name} is missing.`, subject: name });
    const draft = await draftMachine(tx, wantedBy(kept.pool), owner);
    await addPooled(tx, { machineId: draft.machineId, poolId: id, revision: kept.revision });
    return draft;
  });
  if (isMissing) await noteOutcome(control, { id, name }, begun.ok ? null : begun.fault);
  return begun.ok;
}

/** In the name of whoever made the pool, with the rights that they had. */
function asOwner({ pool: { owner, createdBy, project }, holder: { roles, claims, everything } }: KeptPool): Asked {
  const actor = { userId: owner, username: createdBy, email: "", project, apiKeyId: null };
  return { actor: { ...actor, roles: [...roles], claims: [...claims], isSuperUser: everything }, requestId: null };
}

/** Whoever asks for a machine wants it now: a pool's has its turn after, and waits ten minutes for room, since asking again would only send it to the end. */
const turn = { priority: -1, waitSeconds: 600 };

function wantedBy({ name, image, vcpus, memoryBytes, hostLabels, labels }: KeptPool["pool"]): NewMachine {
  const sizes = { ...(vcpus === null ? {} : { vcpus }), ...(memoryBytes === null ? {} : { memoryBytes }) };
  const own = `${name}-${randomUUID().slice(0, 8)}`;
  const wanted = { name: own, image, hostLabels, ...sizes, labels: { ...labels, pool: name } };
  return NewMachine.parse({ ...wanted, description: `Of the pool ${name}.`, start: true, onFault: "fail", ...turn });
}

async function noteOutcome({ db, log }: Control, { id, name }: { id: string; name: string }, fault: Fault | null): Promise<void> {
  if (fault === null) return noteRefused(db, id, null);
  await noteRefused(db, id, { fault: faultRecord(fault), at: new Date().toISOString() });
  log.warn({ event: "pool.refused", pool: name, fault }, "no machine can be asked for");
}

/** A pool that was deleted goes with its last machine. */
async function removeEnded(db: Database, poolId: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    const kept = await readPool(tx, poolId, { lock: true });
    if (!kept || kept.pool.state !== "ending" || (await lookAt(tx, kept)).rows.length > 0) return kept === null;
    await removePool(tx, poolId);
    return true;
  });
}

/** Starts the workflow that keeps the pool, or has it look at once. */
export async function wakePool({ temporal }: Pick<Control, "temporal">, { id, name }: { id: string; name: string }): Promise<void> {
  const input: KeepPoolInput = { interfaceVersion: 1, poolId: id, pool: name };
  await answered(temporal, () =>
    temporal.workflow.signalWithStart("keepPool", {
      workflowId: `pool/${name}/${id}`,
      taskQueue: hubQueue,
      args: [input],
      signal: "wake",
      signalArgs: [],
      staticSummary: `pool ${name}`,
    }),
  );
}

/** For who need not wait for it: a wake that fails is the loop's. */
export function wakeSoon(control: Control, pool: { id: string; name: string }): void {
  wakePool(control, pool).catch((err: unknown) =>
    control.log.warn({ event: "pool.unwoken", pool: pool.name, err }, "a pool could not be woken"),
  );
}

/** Wakes the pools that are not as they should be: whoever changed that need not have told. */
export async function wakePools(control: Control): Promise<void> {
  for (const kept of await allPools(control.db)) {
    const { plan, rows } = await lookAt(control.db, kept);
    const isOver = kept.pool.state === "ending" && rows.length === 0;
    if (isOver || plan.make > 0 || plan.retire.length > 0 || plan.suspend.length > 0) await wakePool(control, kept.pool);
  }
}
