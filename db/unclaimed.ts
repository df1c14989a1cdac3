/**
 * Machines that hosts report and that no row claims: orphans carry our mark, foreign ones do not; twins and newer placements are on their way out or in.
 *
 * The one idea: what a machine is to us follows from its mark and from the row of its id, so it is computed whenever it is asked, and told when it changed.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import { ObservedMachine, type Unclaimed } from "../domain/machines/schema.ts";
import { standingOf, type Standing } from "../domain/machines/truth.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { hosts, machines, observations } from "./schema.ts";

export interface UnclaimedMachine {
  readonly told: Standing | null;
  readonly standing: Standing;
  readonly seen: ObservedMachine;
  readonly host: { readonly id: string; readonly name: string; readonly project: string };
  readonly since: Date;
}

export interface UnclaimedFilter {
  readonly hostId?: string | undefined;
  readonly id?: string | undefined;
  readonly project?: string | undefined;
}

/** All but those of living rows. What is being made just now is not looked at: a linked clone has another id at first. */
export async function unclaimedMachines(
  db: Database,
  hubId: string,
  { hostId, id, project }: UnclaimedFilter = {},
): Promise<UnclaimedMachine[]> {
  const own = sql`(${machines.retiredAt} is null and ${machines.hostId} = ${observations.hostId} and ${observations.toldStanding} is null and ${observations.facts}->'unregistered' is null
    and (${observations.facts}->'mark' is null or jsonb_typeof(${observations.facts}->'mark') = 'null' or (${observations.facts}->'mark'->>'epoch')::int = ${machines.epoch}))`;
  const making = sql`exists (select 1 from machines k where k.retired_at is null and k.observed = 'making'
    and (k.id = ${observations.machineId} or (k.host_id = ${observations.hostId} and lower(k.name) = lower(${observations.facts}->>'name'))))`;
  const rows = await db
    .select({
      facts: observations.facts,
      told: observations.toldStanding,
      since: observations.firstSeenAt,
      host: { id: hosts.id, name: hosts.name, project: hosts.project },
      claim: { hostId: machines.hostId, epoch: machines.epoch, retiredAt: machines.retiredAt, id: machines.id },
    })
    .from(observations)
    .innerJoin(hosts, eq(hosts.id, observations.hostId))
    .leftJoin(machines, eq(machines.id, observations.machineId))
    .where(
      and(
        sql`${own} is not true`,
        sql`not ${making}`,
        hostId === undefined ? undefined : eq(observations.hostId, hostId),
        id === undefined ? undefined : eq(observations.machineId, id),
        project === undefined ? undefined : eq(hosts.project, project),
      ),
    )
    .orderBy(asc(observations.firstSeenAt), asc(observations.machineId));
  return rows.map(({ facts, told, since, host, claim }) => {
    const seen = ObservedMachine.parse(facts);
    const known = claim && { hostId: claim.hostId, epoch: claim.epoch, retired: claim.retiredAt !== null };
    return { told, since, host, seen, standing: standingOf(seen, hubId, host.id, known) };
  });
}

export const unclaimed = ({ standing, seen, host, since }: UnclaimedMachine): Unclaimed => ({
  id: seen.id,
  name: seen.name,
  standing,
  hostId: host.id,
  host: host.name,
  state: seen.state,
  unregistered: seen.unregistered === true,
  copyOf: seen.mark?.machineId ?? null,
  epoch: seen.mark?.epoch ?? null,
  bundlePath: seen.bundlePath,
  since,
});

/** Tells each change of what a machine is to us once; what it is stands beside what was seen, so a new leader goes on. */
export async function tellStandings(db: Database, hubId: string, filter: UnclaimedFilter = {}): Promise<void> {
  for (const one of await unclaimedMachines(db, hubId, filter)) {
    const { standing, told, seen, host } = one;
    const now = standing === "ours" ? null : standing;
    if (now === told) continue;
    await db.transaction(async (tx) => {
      const changed = await tx
        .update(observations)
        .set({ toldStanding: now })
        .where(
          and(
            eq(observations.hostId, host.id),
            eq(observations.machineId, seen.id),
            sql`${observations.toldStanding} is not distinct from ${told}`,
          ),
        )
        .returning({ id: observations.machineId });
      if (changed.length === 0 || now === null) return;
      const { hostId: _hostId, host: _host, since: _since, ...body } = unclaimed(one);
      const about = { ...body, hostId: host.id, host: host.name };
      await recordEvent(tx, { type: "machine", name: `machine.${now}`, subjectId: seen.id, project: host.project, body: about });
    });
  }
}

/** Orphans that nobody claimed for so long. What somebody else made and we adopted once is not among them. */
export async function orphansOver(db: Database, hubId: string, limitMs: number): Promise<UnclaimedMachine[]> {
  const [clock] = await db.execute<{ nowMs: string }>(sql`select (extract(epoch from clock_timestamp()) * 1000)::text as "nowMs"`);
  const before = Number(clock?.nowMs) - limitMs;
  const found = await unclaimedMachines(db, hubId);
  return found.filter(({ standing, seen, since }) => standing === "orphan" && seen.mark?.adopted !== true && since.getTime() < before);
}
