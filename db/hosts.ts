/**
 * Hosts: who is enrolled, what each reported last, and how long ago by the database's clock.
 *
 * The one idea: silence is measured where reports are written, so no clock of a host or of another process decides whether a host is lost.
 */
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import { FaultError, ok, refuse, type Result } from "../domain/errors.ts";
import { withoutAbsent } from "../domain/fields.ts";
import { hostStateAt, settledState, type Cordon } from "../domain/hosts/rules.ts";
import { Host } from "../domain/hosts/schema.ts";
import { Uuid } from "../domain/ids.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { hosts, machines, placements } from "./schema.ts";

const silentMs = sql<string | null>`extract(epoch from clock_timestamp() - ${hosts.lastReportAt}) * 1000`;
/** Why no new machine is placed on a host at this moment, by the database's clock. */
export const cordonNow = sql<Cordon | null>`case when ${hosts.draining} is not null then 'draining' when ${hosts.cordoned} then 'cordoned'
  when ${hosts.maintenanceUntil} > clock_timestamp() then 'in maintenance' end`;
const selected = { row: hosts, silentMs, cordon: cordonNow };

type Selected = { row: typeof hosts.$inferSelect; silentMs: string | null; cordon: Cordon | null };
const parsed = ({ row, silentMs, cordon }: Selected): Host =>
  Host.parse({ ...row, cordon, state: settledState(row.toldState, hostStateAt(silentMs === null ? null : Number(silentMs))) });

export async function listHosts(db: Database): Promise<Host[]> {
  return (await db.select(selected).from(hosts).orderBy(asc(hosts.name))).map(parsed);
}

export async function findHost(db: Database, idOrName: string): Promise<Result<Host>> {
  const id = Uuid.safeParse(idOrName);
  const [found] = await db
    .select(selected)
    .from(hosts)
    .where(id.success ? eq(hosts.id, id.data) : sql`lower(${hosts.name}) = lower(${idOrName})`);
  return found ? ok(parsed(found)) : refuse({ code: "host_not_found", message: `There is no host ${idOrName}.`, subject: idOrName });
}

/** Whether nothing that needs this host can end there: it is lost, or in no row any more. What needs no host (null) does not wait for one. */
export async function isHostLost(db: Database, hostId: string | null): Promise<boolean> {
  if (hostId === null) return false;
  const host = await findHost(db, hostId);
  return !host.ok || host.value.state === "lost";
}

export interface HostChanges {
  readonly enabled?: boolean | undefined;
  readonly labels?: string[] | undefined;
  readonly taints?: string[] | undefined;
  readonly overcommitCpu?: number | undefined;
  readonly overcommitMemory?: number | undefined;
}

export async function updateHost(db: Database, id: string, changes: HostChanges): Promise<Result<Host>> {
  const given = withoutAbsent(changes);
  if (Object.keys(given).length > 0) {
    const [row] = await db.update(hosts).set(given).where(eq(hosts.id, id)).returning({ project: hosts.project });
    if (row) await recordEvent(db, { type: "host", name: "host.changed", subjectId: id, project: row.project, body: given });
  }
  return findHost(db, id);
}

/** Closes a host to new machines, or opens it again as far as an operator had closed it. */
export async function cordonHost(tx: Database, idOrName: string, cordoned: boolean): Promise<Result<Host>> {
  const found = await lockHost(tx, idOrName);
  if (!found.ok) return found;
  const { id, name, draining } = found.value;
  if (draining !== null && !cordoned)
    return refuse({
      code: "host_draining",
      message: `The host ${name} is being drained.`,
      subject: name,
      details: { operationId: draining },
    });
  if (found.value.cordoned !== cordoned) await tellCordon(tx, id, { cordoned });
  return findHost(tx, id);
}

/** Held until the caller's transaction ends: a placement that looks at this host comes before or after what the caller does. */
export async function lockHost(tx: Database, idOrName: string): Promise<Result<Host>> {
  const found = await findHost(tx, idOrName);
  if (!found.ok) return found;
  await tx.select({ id: hosts.id }).from(hosts).where(eq(hosts.id, found.value.id)).for("no key update");
  return findHost(tx, found.value.id);
}

export const startDraining = (tx: Database, hostId: string, operationId: string): Promise<void> =>
  tellCordon(tx, hostId, { draining: operationId }, operationId);

/** A host that was emptied stays closed; one whose drain came to nothing is as it was before. */
export async function endDraining(tx: Database, operationId: string, emptied: boolean): Promise<void> {
  const [drained] = await tx.select({ id: hosts.id }).from(hosts).where(eq(hosts.draining, operationId));
  if (drained) await tellCordon(tx, drained.id, { draining: null, ...(emptied ? { cordoned: true } : {}) }, operationId);
}

/** Until when a maintenance window keeps new machines away; null where none does. */
export const maintainHost = (tx: Database, hostId: string, until: Date | null): Promise<void> =>
  tellCordon(tx, hostId, { maintenanceUntil: until });

async function tellCordon(
  tx: Database,
  id: string,
  changes: { cordoned?: boolean; draining?: string | null; maintenanceUntil?: Date | null },
  operationId?: string,
): Promise<void> {
  const [row] = await tx
    .update(hosts)
    .set(changes)
    .where(eq(hosts.id, id))
    .returning({ name: hosts.name, project: hosts.project, cordon: cordonNow });
  if (!row) return;
  const { name, project, cordon } = row;
  const told = { type: "host", name: "host.cordon", subjectId: id, project, body: { name, cordon } } as const;
  await recordEvent(tx, operationId === undefined ? told : { ...told, operationId });
}

/** Takes a host out of the fleet: its key is worth nothing from then on. Refused while machines live on it. */
export async function removeHost(db: Database, id: string): Promise<void> {
  await db.transaction(async (tx) => {
    // Held until the end, so that no machine is placed here meanwhile.
    const [host] = await tx.select().from(hosts).where(eq(hosts.id, id)).for("update");
    if (!host) return;
    const living = await tx.$count(machines, and(eq(machines.hostId, id), isNull(machines.retiredAt)));
    // How many, and not which: they may be of other projects.
    if (living > 0)
      throw new FaultError({ code: "host_in_use", message: `The host ${host.name} still has ${living} machine(s).`, subject: id });
    await tx.update(machines).set({ hostId: null }).where(eq(machines.hostId, id));
    await tx.delete(placements).where(eq(placements.hostId, id));
    await tx.delete(hosts).where(eq(hosts.id, id));
    await recordEvent(tx, { type: "host", name: "host.removed", subjectId: id, project: host.project, body: { name: host.name } });
  });
}

/** What the gateway must know to believe a host. */
export interface HostIdentity {
  readonly id: string;
  readonly name: string;
  readonly project: string;
  readonly publicKey: string;
  readonly session: string | null;
  readonly bootId: string | null;
  readonly silentMs: number | null;
}

export async function findHostIdentity(db: Database, id: string): Promise<HostIdentity | null> {
  if (!Uuid.safeParse(id).success) return null;
  const { name, project, publicKey, session, bootId } = hosts;
  const [row] = await db.select({ id: hosts.id, name, project, publicKey, session, bootId, silentMs }).from(hosts).where(eq(hosts.id, id));
  return row ? { ...row, silentMs: row.silentMs === null ? null : Number(row.silentMs) } : null;
}

/** The host process says goodbye: the next one need not wait until this one counts as silent. */
export async function endSession(db: Database, id: string, session: string): Promise<void> {
  await db
    .update(hosts)
    .set({ session: null })
    .where(sql`${hosts.id} = ${id} and ${hosts.session} = ${session}`);
}
