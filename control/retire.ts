/**
 * Ends machines: on request, when their time to live is over, and when their making was ended from outside.
 *
 * The one idea: a retire pushes every other operation aside, so it is never refused as busy; a second one is the first one, which it may hurry.
 */
import { recordAudit } from "../db/audit.ts";
import type { Database } from "../db/connect.ts";
import { busy, holdersOf } from "../db/holds.ts";
import { changeIntent } from "../db/intents.ts";
import { findLatelyRetired, findMachine, linkedClonesOf, machinesToRetire, updateMachine } from "../db/machines.ts";
import { changeInput, lastOperation, readOperation, unsettledOperations } from "../db/operations.ts";
import type { Actor } from "../domain/access/schema.ts";
import { FaultError, unwrap, type Result } from "../domain/errors.ts";
import { mayLetGo, mayReach, mayRetire } from "../domain/machines/rules.ts";
import type { Machine } from "../domain/machines/schema.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { LetGoInput } from "../workflows/machines/let-go.ts";
import type { RetireInput } from "../workflows/machines/retire.ts";
import type { Own } from "./catalog.ts";
import { decideStep } from "./decide.ts";
import { retireOrphan } from "./orphans.ts";
import { answered, startOperation, type Asked, type Control, type Draft } from "./start.ts";

/** A guest that shuts down at all does so in half a minute; what is retired is deleted next, so waiting longer gains nothing. */
const graceMs = 30_000;

/** `keepsBundle`: the machine is forgotten, unregistered and unmarked, and its files stay. */
interface Retiring {
  readonly force: boolean;
  readonly keepsBundle?: boolean;
}

export async function requestRetire(
  control: Control,
  idOrName: string,
  { force, keepsBundle = false }: Retiring,
  asked: Asked,
): Promise<Result<Operation>> {
  let hurried = false;
  const begun = await startOperation(control, asked, async (tx): Promise<Draft | { already: Operation }> => {
    const found = await findMachine(tx, idOrName, { lock: true, reader: asked.actor });
    if (!found.ok && keepsBundle) throw new FaultError(found.fault);
    if (!found.ok) {
      const orphan = await retireOrphan(tx, control.hubId, idOrName, { force, graceMs, asked });
      return orphan ?? { already: await lastRetire(tx, idOrName, asked.actor) };
    }
    const [under] = await unsettledOperations(tx, { machineId: found.value.id, verb: "retire", limit: 1 });
    if (!under) return keepsBundle ? letGoDraft(tx, found.value, asked) : retireDraft(tx, found.value, force, asked);
    // The one keeps what the other removes: neither is the other's answer.
    if (keepsBundle || (await keeps(tx, under))) throw busy("machine", found.value.name, { operationId: under.id, ...under });
    hurried = force && (await noteForce(tx, under, asked));
    return { already: under };
  });
  if (begun.ok && hurried) await hurry(control, begun.value, asked);
  return begun;
}

/** Ends a machine whose time is over, or that was left half made; null when that is so no longer. */
export async function retireIfDue(control: Control, { id, project }: Pick<Machine, "id" | "project">): Promise<Operation | null> {
  const asked: Asked = { actor: system(project), requestId: null };
  let due = false;
  const begun = await startOperation(control, asked, async (tx) => {
    const machine = unwrap(await findMachine(tx, id, { lock: true }));
    due = (await machinesToRetire(tx, { limit: 1, id })).length === 1;
    if (!due) throw new FaultError({ code: "machine_state", message: `${machine.name} lives on.`, subject: machine.name });
    return retireDraft(tx, machine, true, asked);
  });
  return due ? unwrap(begun) : null;
}

async function retireDraft(tx: Database, machine: Machine, force: boolean, { onFault = "park" }: Asked): Promise<Draft> {
  const { id, name, hostId, epoch, image } = machine;
  unwrap(mayRetire(machine, await linkedClonesOf(tx, id)));
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
    onFault,
    input: { force, before: { desired: machine.desired } },
    holds: takesOver ? [] : [{ kind: "machine", subjectId: id, name, mode: "exclusive" }],
  };
}

async function letGoDraft(tx: Database, machine: Machine, { onFault = "park" }: Asked): Promise<Draft> {
  const { id, name, hostId, epoch, image } = machine;
  unwrap(mayLetGo({ ...machine, isLinked: machine.linkedTo !== null }, await linkedClonesOf(tx, id)));
  await updateMachine(tx, id, { desired: "absent" });
  if (hostId === null) throw new FaultError({ code: "machine_state", message: `${name} has no host yet.`, subject: name });
  const own: Own<LetGoInput> = { hostId, machineId: id, machineName: name, epoch };
  return {
    verb: "retire",
    subject: name,
    workflowSubject: id,
    workflowType: "letGo",
    workflowInput: { ...own },
    hostId,
    machineId: id,
    image,
    onFault,
    input: { force: false, keepsBundle: true, before: { desired: machine.desired } },
    holds: [{ kind: "machine", subjectId: id, name, mode: "exclusive" }],
  };
}

const keeps = async (tx: Database, { id }: Operation): Promise<boolean> =>
  unwrap(await readOperation(tx, id)).input["keepsBundle"] === true;

/** Writes that the end that is under way is to be a forced one; `false` when it is already. A workflow that is still to start begins so. */
async function noteForce(tx: Database, { id, subject }: Operation, { actor, requestId, source }: Asked): Promise<boolean> {
  const { input } = unwrap(await readOperation(tx, id, { lock: true }));
  if (input["force"] === true) return false;
  await changeInput(tx, id, { force: true });
  await changeIntent(tx, id, { graceMs: 0 });
  await recordAudit(tx, {
    actor: actor.username,
    action: "retire.hurry",
    subject,
    outcome: "accepted",
    operationId: id,
    requestId,
    source,
  });
  return true;
}

/** A signal takes milliseconds. One that cannot be sent is no reason to refuse: the guest then has the half minute that it had anyway. */
async function hurry(control: Control, operation: Operation, { actor, requestId }: Asked): Promise<void> {
  const { temporal, log } = control;
  const handle = temporal.workflow.getHandle(operation.workflowId);
  try {
    await answered(temporal, () => handle.signal("hurry"));
    if (operation.state === "parked") await decideStep(control, operation.id, "retry", { actor, requestId });
  } catch (cause) {
    log.warn({ event: "retire.unhurried", operationId: operation.id, err: cause }, "the retire could not be hurried; it goes on as it was");
  }
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

async function lastRetire(tx: Database, idOrName: string, actor: Actor): Promise<Operation> {
  const gone = await findLatelyRetired(tx, idOrName);
  const last = gone && mayReach(gone, actor) ? await lastOperation(tx, gone.id, "retire") : null;
  if (last) return last;
  throw new FaultError({ code: "machine_not_found", message: `There is no machine ${idOrName}.`, subject: idOrName });
}
