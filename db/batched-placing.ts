/** Writes where the machines of a batch were placed: one statement of each kind, however many there are. */
import { sql } from "drizzle-orm";
import type { Operation } from "../domain/operations/schema.ts";
import type { Database } from "./connect.ts";
import { recordEvents } from "./events.ts";
import type { PlacementRow } from "./placements.ts";
import { placements } from "./schema.ts";
import { writeStepsOfAll, type ToldStep } from "./steps.ts";

export interface BatchedPlacement {
  readonly operation: Operation;
  readonly placement: PlacementRow;
}

/** `digest`: what the machines are made from, which their image may have come to since they were asked for. */
export async function writePlacements(
  tx: Database,
  placed: readonly BatchedPlacement[],
  { digest, steps }: { digest: string; steps: readonly ToldStep[] },
): Promise<void> {
  if (placed.length === 0) return;
  const rows = placed.map(({ operation, placement: { machineId, hostId, epoch } }) => ({ id: operation.id, machineId, hostId, epoch }));
  const told = JSON.stringify(rows);
  await tx.insert(placements).values(placed.map(({ placement }) => placement));
  await tx.execute(sql`
    update machines m set host_id = t."hostId", epoch = t.epoch, pending = null, digest = ${digest}, updated_at = now()
    from jsonb_to_recordset(${told}::jsonb) as t("machineId" uuid, "hostId" uuid, epoch int) where m.id = t."machineId"`);
  await tx.execute(sql`
    update operations o set host_id = t."hostId", told_lost = false, state = 'running', started_at = coalesce(o.started_at, now())
    from jsonb_to_recordset(${told}::jsonb) as t(id uuid, "hostId" uuid) where o.id = t.id`);
  await writeStepsOfAll(
    tx,
    placed.map(({ operation }) => operation.id),
    steps,
  );
  await recordEvents(
    tx,
    placed.map(({ operation: { id, project, verb } }) => {
      const about = { subjectId: id, operationId: id, project };
      return { type: "operation", name: "operation.running", ...about, body: { verb } } as const;
    }),
  );
}
