/**
 * The end of orphans: machines with our mark that no row claims.
 *
 * The one idea: an orphan is ours to remove, on somebody's word; a foreign machine never is.
 */
import type { Database } from "../db/connect.ts";
import { busy, holdersOf } from "../db/holds.ts";
import { linkedClonesOf } from "../db/machines.ts";
import { lastOperation, unsettledOperations } from "../db/operations.ts";
import { unclaimedMachines } from "../db/unclaimed.ts";
import { FaultError, unwrap } from "../domain/errors.ts";
import { Uuid } from "../domain/ids.ts";
import { mayRetire } from "../domain/machines/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { RetireInput } from "../workflows/machines/retire.ts";
import type { Own } from "./catalog.ts";
import type { Asked, Draft } from "./start.ts";

/** The end of an orphan, by its id; null where there is none. A second request answers with the first one's operation. */
export async function retireOrphan(
  tx: Database,
  hubId: string,
  id: string,
  { force, graceMs, asked }: { force: boolean; graceMs: number; asked: Asked },
): Promise<Draft | { already: Operation } | null> {
  if (!Uuid.safeParse(id).success) return null;
  const { project } = asked.actor;
  const found = (await unclaimedMachines(tx, hubId, { id: id.toLowerCase(), project })).filter(({ standing }) => standing !== "twin");
  const [one] = found;
  if (!one) return null;
  const { seen, host, standing } = one;
  if (standing === "foreign")
    throw new FaultError({
      code: "machine_foreign",
      message: `${seen.name} was not made by this hub, which never removes it.`,
      subject: seen.name,
    });
  const [under] = await unsettledOperations(tx, { machineId: seen.id, verb: "retire", limit: 1 });
  const last = under ?? (await lastOperation(tx, seen.id, "retire"));
  // Its host reports it for some seconds more.
  if (last && (under || (last.state === "done" && seenBefore(last)))) return { already: last };
  const [holder] = await holdersOf(tx, { kind: "machine", subjectId: seen.id });
  if (holder) throw busy("machine", seen.name, holder);
  unwrap(mayRetire(seen, await linkedClonesOf(tx, seen.id)));
  const epoch = seen.mark?.epoch ?? 1;
  const ending = { hostId: host.id, machineId: seen.id, machineName: seen.name, epoch, graceMs: force ? 0 : graceMs };
  const workflowInput: Own<RetireInput> = { ...ending, takesOver: false };
  return {
    verb: "retire",
    subject: seen.name,
    workflowSubject: seen.id,
    workflowType: "retire",
    workflowInput: { ...workflowInput },
    hostId: host.id,
    machineId: seen.id,
    onFault: asked.onFault ?? "park",
    input: { force, orphan: true },
    holds: [{ kind: "machine", subjectId: seen.id, name: seen.name, mode: "exclusive" }],
  };
}

const reportsLagMs = 15_000;
const seenBefore = ({ endedAt }: Operation): boolean => endedAt !== null && Date.now() - endedAt.getTime() < reportsLagMs;
