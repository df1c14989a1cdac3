/**
 * Machines whose making is done although their row does not know it: the database was restored from before, and its operation was settled since.
 *
 * The one idea: what a host reports with the mark of this very machine is the machine; nothing that was made to its end is retired as half made.
 */
import { and, desc, eq, isNull, sql } from "drizzle-orm";
import { holdsProcessor, isMacOS } from "../domain/machines/rules.ts";
import { ObservedMachine } from "../domain/machines/schema.ts";
import type { Database } from "./connect.ts";
import { followMachine, isWorkedOn } from "./following.ts";
import { madeAt, observeMachine, tellMachine, updateMachine } from "./machines.ts";
import { deletePlacement, insertPlacement } from "./placements.ts";
import { machines, observations } from "./schema.ts";

/** No host has it within this time: it was retired in what the database forgot. Hosts report every 5 s. */
const missingAfterSeconds = 60;

export async function finishMade(db: Database, hubId: string, limit: number): Promise<void> {
  const waiting = and(
    isNull(machines.retiredAt),
    eq(machines.observed, "making"),
    sql`${madeAt} is not null and not ${isWorkedOn(machines.id)}`,
  );
  const missing = sql<boolean>`${madeAt} < clock_timestamp() - make_interval(secs => ${missingAfterSeconds})`;
  const rows = await db.select({ id: machines.id, missing }).from(machines).where(waiting).limit(limit);
  for (const { id, missing } of rows) {
    await db.transaction(async (tx) => {
      const [row] = await tx
        .select()
        .from(machines)
        .where(and(eq(machines.id, id), waiting))
        .for("update");
      if (row) await finish(tx, row, { hubId, missing });
    });
  }
}

async function finish(
  tx: Database,
  row: typeof machines.$inferSelect,
  { hubId, missing }: { hubId: string; missing: boolean },
): Promise<void> {
  const ours = sql`${observations.facts}->'mark'->>'hubId' = ${hubId} and not ${observations.facts}->'mark' ? 'machineId' and ${observations.facts}->'unregistered' is null`;
  const epoch = sql<string>`${observations.facts}->'mark'->>'epoch'`;
  const [found] = await tx
    .select({ hostId: observations.hostId, facts: observations.facts, epoch })
    .from(observations)
    .where(and(eq(observations.machineId, row.id), ours))
    .orderBy(desc(sql`(${epoch})::int`))
    .limit(1);
  if (!found) {
    if (missing) await observeMachine(tx, row.id, "absent");
    return;
  }
  const seen = ObservedMachine.parse(found.facts);
  const { hostId } = found;
  await updateMachine(tx, row.id, { hostId, epoch: Number(found.epoch) });
  await deletePlacement(tx, row.id);
  const { vcpus, memoryBytes, diskBytes, kind } = row;
  const room = { vcpus, memoryBytes, diskBytes, macos: isMacOS(kind), runs: holdsProcessor(seen.state) };
  await insertPlacement(tx, { machineId: row.id, epoch: Number(found.epoch), hostId, ...room });
  await followMachine(tx, row, seen, { workedOn: true });
  await tellMachine(tx, row, "machine.ready", { hostId });
}
