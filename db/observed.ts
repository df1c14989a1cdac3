/**
 * Machines as the wire lists them: what hosts last saw, joined with what we know.
 *
 * The one idea: a machine that a host reported is shown even when it is not ours, and one of ours is shown even before its host reported it. What
 * a reader may not reach is in neither half: a foreign machine belongs to its host's project.
 */
import { and, asc, eq, isNull, or, sql, type SQL } from "drizzle-orm";
import type { Reader } from "../domain/access/rules.ts";
import { hostStateAt, type HostState } from "../domain/hosts/rules.ts";
import { Uuid } from "../domain/ids.ts";
import { Machine, ObservedMachine } from "../domain/machines/schema.ts";
import type { Database } from "./connect.ts";
import { inTurns } from "./in-turns.ts";
import { reachedBy } from "./machines.ts";
import { hosts, machines, observations, users } from "./schema.ts";

export interface SeenMachine {
  readonly machine: Machine | null;
  readonly seen: ObservedMachine | null;
  readonly ownerName: string | null;
  readonly host: { readonly id: string; readonly name: string; readonly state: HostState; readonly enabled: boolean } | null;
}

export interface SeenFilter {
  readonly hostId?: string | undefined;
  /** Absent: whatever there is, as sums over hosts need it. */
  readonly reader?: Reader | undefined;
}

/** All machines of a host, or of all hosts; those of ours that no host reported come with the host that they are placed on. */
export async function seenMachines(db: Database, { hostId, reader }: SeenFilter = {}): Promise<SeenMachine[]> {
  const ours = await ownMachines(db, ownBy({ hostId, reader }));
  const foreign = await foreignMachines(db, { hostId, reader });
  return inTurns([...ours, ...foreign], (rows) => rows.map(whole));
}

/** Those of that id or, in any case, that name; foreign ones only where none is ours. */
export async function namedMachines(db: Database, word: string, filter: SeenFilter): Promise<SeenMachine[]> {
  const id = Uuid.safeParse(word);
  const own = or(sql`lower(${machines.name}) = lower(${word})`, id.success ? eq(machines.id, id.data) : undefined);
  const ours = await ownMachines(db, and(own, ownBy(filter)));
  if (ours.length > 0) return ours.map(whole);
  const theirs = or(
    sql`lower(${observations.facts}->>'name') = lower(${word})`,
    id.success ? eq(observations.machineId, id.data) : undefined,
  );
  return (await foreignMachines(db, filter, theirs)).map(whole);
}

const ownBy = ({ hostId, reader }: SeenFilter) =>
  and(hostId === undefined ? undefined : eq(machines.hostId, hostId), reader === undefined ? undefined : reachedBy(reader));

async function foreignMachines(db: Database, { hostId, reader }: SeenFilter, wanted?: SQL): Promise<Row[]> {
  const known = sql`exists (select 1 from ${machines} m where m.id = ${observations.machineId} and (m.retired_at is null or m.retired_at > ${observations.seenAt} - interval '1 minute'))`;
  const foreign = await db
    .select({ seen: observations.facts, host: hosts, silentMs })
    .from(observations)
    .innerJoin(hosts, eq(hosts.id, observations.hostId))
    .where(
      and(
        wanted,
        sql`not ${known}`,
        registered,
        hostId === undefined ? undefined : eq(observations.hostId, hostId),
        reader === undefined ? undefined : eq(hosts.project, reader.project),
      ),
    )
    .orderBy(asc(observations.firstSeenAt));
  return foreign.map((row) => ({ ...row, machine: null, ownerName: null }));
}

/** One living machine of ours, with what its host last saw of it. */
export async function seenMachine(db: Database, id: string): Promise<SeenMachine | null> {
  const known = Uuid.safeParse(id);
  const [row] = known.success ? await ownMachines(db, eq(machines.id, known.data)) : [];
  return row ? whole(row) : null;
}

/** What a host sees of these machines now, in place of what it saw of them before. */
export async function recordSeen(tx: Database, hostId: string, seen: readonly ObservedMachine[]): Promise<void> {
  await tx
    .insert(observations)
    .values(seen.map((facts) => ({ hostId, machineId: facts.id, facts })))
    .onConflictDoUpdate({
      target: [observations.hostId, observations.machineId],
      set: { facts: sql`excluded.facts`, seenAt: sql`clock_timestamp()` },
    });
}

const silentMs = sql<string | null>`extract(epoch from now() - ${hosts.lastReportAt}) * 1000`;
const registered = sql`${observations.facts}->'unregistered' is null`;

async function ownMachines(db: Database, wanted: SQL | undefined): Promise<Row[]> {
  const onHost = and(eq(observations.machineId, machines.id), eq(observations.hostId, machines.hostId), registered);
  return db
    .select({ machine: machines, seen: observations.facts, ownerName: users.username, host: hosts, silentMs })
    .from(machines)
    .leftJoin(users, eq(users.id, machines.owner))
    .leftJoin(hosts, eq(hosts.id, machines.hostId))
    .leftJoin(observations, onHost)
    .where(and(isNull(machines.retiredAt), wanted))
    .orderBy(asc(machines.createdAt));
}

interface Row {
  readonly machine: typeof machines.$inferSelect | null;
  readonly seen: unknown;
  readonly ownerName: string | null;
  readonly host: typeof hosts.$inferSelect | null;
  readonly silentMs: string | null;
}

function whole({ machine, seen, ownerName, host, silentMs }: Row): SeenMachine {
  return {
    machine: machine ? Machine.parse(machine) : null,
    seen: seen ? ObservedMachine.parse(seen) : null,
    ownerName,
    host: host
      ? { id: host.id, name: host.name, enabled: host.enabled, state: hostStateAt(silentMs === null ? null : Number(silentMs)) }
      : null,
  };
}
