/**
 * Leases: who gets a machine of a pool, and gives it back.
 *
 * The one idea: a lease is one transaction that touches one machine's rows and neither its pool's nor anybody else's. From its commit on the machine is the
 * caller's own; its end is the machine's.
 */
import { randomUUID } from "node:crypto";
import { recordAudit } from "../db/audit.ts";
import { inTransaction, type Database } from "../db/connect.ts";
import { claimKey } from "../db/idempotency.ts";
import { findMachine, tellMachine } from "../db/machines.ts";
import { lastOperation } from "../db/operations.ts";
import { findLease, leaseMachine, unlease, type Leased } from "../db/pooled-machines.ts";
import { findPool, type KeptPool } from "../db/pools.ts";
import { holds } from "../domain/access/rules.ts";
import { maySee } from "../domain/catalog/rules.ts";
import { FaultError, ok, refuse, type Fault, type Result } from "../domain/errors.ts";
import { isSettled } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { Lease, NewLease } from "../domain/pools/schema.ts";
import { requestAction } from "./machines.ts";
import { lookAt, wakeSoon } from "./pools.ts";
import { requestRetire } from "./retire.ts";
import { holderOf, type Asked, type Control } from "./start.ts";

export async function requestLease(control: Control, poolName: string, wanted: NewLease, asked: Asked): Promise<Result<Lease>> {
  const leaseId = randomUUID();
  const taken = await inTransaction(control.db, (tx) => take(tx, { poolName, leaseId, wanted }, asked));
  if (!taken.ok) return taken.fault.code === "pool_empty" ? refuse(await withReasons(control.db, poolName, asked, taken.fault)) : taken;
  const { kept, leased } = taken.value;
  wakeSoon(control, kept.pool);
  const resumed = await resume(control, kept, leased, asked);
  if (!resumed.ok) return resumed;
  return ok(leaseOf(kept.pool.name, leased, resumed.value));
}

interface Taking {
  readonly poolName: string;
  readonly leaseId: string;
  readonly wanted: NewLease;
}

async function take(tx: Database, { poolName, leaseId, wanted }: Taking, asked: Asked): Promise<{ kept: KeptPool; leased: Leased }> {
  const { actor, idempotency } = asked;
  // Sent together, carried out in this order.
  const [kept, earlier] = await Promise.all([
    findPool(tx, poolName, actor),
    idempotency ? claimKey(tx, { caller: actor.userId, ...idempotency }, leaseId) : null,
  ]);
  const { pool, revision } = kept;
  if (earlier !== null) return { kept, leased: await mustLease(tx, kept, earlier) };
  if (pool.state === "ending")
    throw new FaultError({ code: "pool_ending", message: `The pool ${pool.name} was deleted.`, subject: pool.name });
  const ttlSeconds = Math.min(wanted.ttlSeconds ?? pool.leaseSeconds, pool.leaseSeconds);
  const by = { leaseId, leasedBy: actor.username, leasedById: actor.userId, ttlSeconds };
  const leased = await leaseMachine(tx, { poolId: pool.id, revision, idleState: pool.idleState, ...by });
  if (!leased) throw new FaultError({ code: "pool_empty", message: `No machine of ${pool.name} is idle.`, subject: pool.name });
  const { machine } = leased;
  if (!maySee(machine, holderOf(actor)))
    throw new FaultError({
      code: "forbidden",
      message: `The image of ${pool.name} asks for roles or claims that ${actor.username} does not have.`,
    });
  await Promise.all([
    tellMachine(tx, machine, "machine.leased", { pool: pool.name, leaseId, leasedBy: actor.username }),
    audit(tx, asked, "pool.leased", `${pool.name}: ${machine.name}`),
  ]);
  return { kept, leased };
}

async function mustLease(tx: Database, { pool }: KeptPool, leaseId: string): Promise<Leased> {
  const leased = await findLease(tx, pool.id, leaseId);
  if (leased) return leased;
  throw new FaultError({
    code: "lease_not_found",
    message: `${pool.name} has no lease ${leaseId}, or it ended long ago.`,
    subject: leaseId,
  });
}

const audit = (tx: Database, { actor, requestId, source }: Asked, action: string, subject: string) =>
  recordAudit(tx, { actor: actor.username, action, subject, outcome: "done", requestId, source });

/** Why none is idle, for whoever got none. */
async function withReasons(db: Database, poolName: string, { actor }: Asked, fault: Fault): Promise<Fault> {
  const { plan } = await lookAt(db, await findPool(db, poolName, actor));
  const message = [fault.message, ...plan.shortfalls.map((short) => short.message)].join(" ");
  return { ...fault, message, details: { ...plan.counts, shortfalls: plan.shortfalls } };
}

/** A suspended machine goes on as an ordinary operation. Where it may not, such as without room on its host, nobody has used it, and it waits on. */
async function resume(control: Control, { pool }: KeptPool, { leaseId, machine }: Leased, asked: Asked): Promise<Result<Operation | null>> {
  if (machine.observed !== "suspended") return ok(null);
  const { id: machineId } = machine;
  const before = await lastOperation(control.db, machineId, "resume");
  if (before && !isSettled(before.state)) return ok(before);
  const { idempotency: _used, ...own } = asked;
  const begun = await requestAction(control, machineId, { verb: "resume" }, { ...own, onFault: own.onFault ?? "fail" });
  if (!begun.ok) await control.db.transaction((tx) => unlease(tx, { machineId, leaseId, owner: pool.owner }));
  return begun;
}

const leaseOf = (pool: string, { leaseId: id, leasedBy, leasedAt, machine }: Leased, operation: Operation | null): Lease => ({
  id,
  pool,
  leasedBy,
  leasedAt,
  expiresAt: machine.expiresAt,
  machine,
  operation,
});

/** Gives a lease back, by its id or its machine's id or name: the machine is retired. One's own, or anybody's for who may retire machines. */
export async function requestRelease(control: Control, poolName: string, leaseOrMachine: string, asked: Asked): Promise<Result<Operation>> {
  const { db } = control;
  const found = await inTransaction(db, async (tx) => {
    const kept = await findPool(tx, poolName, asked.actor);
    const machine = await findMachine(tx, leaseOrMachine);
    const leased = await findLease(tx, kept.pool.id, machine.ok ? { machineId: machine.value.id } : leaseOrMachine);
    const isOwn = leased?.leasedById === asked.actor.userId;
    if (!leased || !(isOwn || holds(asked.actor, "DELETE_VM")))
      throw new FaultError({
        code: "lease_not_found",
        message: `${kept.pool.name} has no lease ${leaseOrMachine} of yours.`,
        subject: leaseOrMachine,
      });
    await audit(tx, asked, "pool.released", `${kept.pool.name}: ${leased.machine.name}`);
    return { kept, leased };
  });
  if (!found.ok) return found;
  const begun = await requestRetire(control, found.value.leased.machine.id, { force: true }, asked);
  wakeSoon(control, found.value.kept.pool);
  return begun;
}
