/**
 * Ends machines: on request, when their time to live is over, and when their making was ended from outside.
 *
 * The one idea: a retire pushes every other operation aside, so it is never refused as busy; a second one is the first one.
 */
import type { Database } from "../db/connect.ts";
import { holdersOf } from "../db/holds.ts";
import { findLatelyRetired, findMachine, updateMachine } from "../db/machines.ts";
import { lastOperation, unsettledOperations } from "../db/operations.ts";
import type { Actor } from "../domain/access/schema.ts";
import { FaultError, type Result } from "../domain/errors.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { RetireInput } from "../workflows/machines/retire.ts";
import type { Own } from "./catalog.ts";
import { startOperation, type Asked, type Control, type Draft } from "./start.ts";

/** A guest that shuts down at all does so in half a minute; what is retired is deleted next, so waiting longer gains nothing. */
const graceMs = 30_000;

export async function requestRetire(
  control: Control,
  idOrName: string,
  { force }: { force: boolean },
  asked: Asked,
): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx): Promise<Draft | { already: Operation }> => {
    const { project } = asked.actor;
    const found = await findMachine(tx, idOrName, { lock: true, project });
    if (!found.ok) return { already: await lastRetire(tx, idOrName, project) };
    const machine = found.value;
    const { id, name, hostId, epoch, image } = machine;
    const [under] = await unsettledOperations(tx, { machineId: id, verb: "retire", limit: 1 });
    if (under) return { already: under };
    const takesOver = (await holdersOf(tx, { kind: "machine", subjectId: id })).length > 0;
    await updateMachine(tx, id, { desired: "absent" });
    const workflowInput: Own<RetireInput> = { hostId, machineId: id, machineName: name, epoch, graceMs: force ? 0 : graceMs, takesOver };
    return {
      verb: "retire",
      subject: name,
      workflowSubject: id,
      workflowType: "retire",
      workflowInput: { ...workflowInput },
      hostId,
      machineId: id,
      image,
      onFault: asked.onFault ?? "park",
      input: { force, before: { desired: machine.desired } },
      holds: takesOver ? [] : [{ kind: "machine", subjectId: id, name, mode: "exclusive" }],
    };
  });
}

/** What the hub does by itself, it does under this name. */
export const system = (project: string): Actor => ({
  userId: "system",
  username: "system",
  email: "",
  project,
  roles: [],
  claims: [],
  isSuperUser: true,
  apiKeyId: null,
});

async function lastRetire(tx: Database, idOrName: string, project: string): Promise<Operation> {
  const gone = await findLatelyRetired(tx, idOrName);
  const last = gone?.project === project ? await lastOperation(tx, gone.id, "retire") : null;
  if (last) return last;
  throw new FaultError({ code: "machine_not_found", message: `There is no machine ${idOrName}.`, subject: idOrName });
}
