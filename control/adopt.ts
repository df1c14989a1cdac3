/**
 * Takes machines that hosts report and that no row claims into the hub's rows.
 *
 * The one idea: an orphan or a foreign machine becomes an ordinary one by somebody's word alone, and is left as it is: what it does now is what is wanted.
 */
import { randomUUID } from "node:crypto";
import type { Database } from "../db/connect.ts";
import { findAnyMachine, findMachine, insertMachine } from "../db/machines.ts";
import { findPlacement, insertPlacement } from "../db/placements.ts";
import { unclaimedMachines, type UnclaimedMachine } from "../db/unclaimed.ts";
import { FaultError, unwrap, type Result } from "../domain/errors.ts";
import { holdsProcessor, isMacOS, mayAct, type DesiredState } from "../domain/machines/rules.ts";
import { DesiredState as Desired, MachineName, type Adoption, type Machine } from "../domain/machines/schema.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { AdoptInput } from "../workflows/machines/adopt.ts";
import type { Own } from "./catalog.ts";
import { startOperation, type Asked, type Control, type Draft } from "./start.ts";

/** Takes a machine that its host reports into the hub's rows: an orphan, a foreign one, a newer placement, or one of ours that is not registered. */
export async function requestAdopt(control: Control, id: string, wanted: Adoption, asked: Asked): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx): Promise<Draft> => {
    const found = await theOne(tx, control.hubId, { id, hostId: wanted.hostId, project: asked.actor.project });
    const { seen, host } = found;
    const state = adoptable(found);
    const standing = await findMachine(tx, seen.id, { lock: true });
    const machine = standing.ok ? known(standing.value, wanted) : await addRow(tx, found, state, wanted, asked);
    const epoch = seen.mark && !isCopy(found) ? seen.mark.epoch : 1;
    const nowhere = seen.unregistered && seen.bundlePath !== null ? { unregisteredPath: seen.bundlePath } : {};
    const named = { machineId: machine.id, machineName: machine.name, seenId: seen.id };
    const workflowInput: Own<AdoptInput> = { hostId: host.id, epoch, ...named, ...nowhere };
    return {
      verb: "adopt",
      subject: machine.name,
      workflowSubject: machine.id,
      workflowType: "adopt",
      workflowInput: { ...workflowInput },
      hostId: host.id,
      machineId: machine.id,
      image: machine.image,
      onFault: wanted.onFault,
      input: { hostId: host.id, epoch, before: standing.ok ? {} : { adopted: true } },
      holds: [{ kind: "machine", subjectId: machine.id, name: machine.name, mode: "exclusive" }],
    };
  });
}

const isCopy = ({ seen }: UnclaimedMachine): boolean => seen.mark?.machineId !== undefined;

/** The reported machine of that id that is not its row's; `host_unnamed` where several hosts have one. */
async function theOne(
  tx: Database,
  hubId: string,
  { id, hostId, project }: { id: string; hostId: string | undefined; project: string },
): Promise<UnclaimedMachine> {
  const found = await unclaimedMachines(tx, hubId, { id: id.toLowerCase(), hostId, project });
  const [one, other] = found.filter(({ standing, seen }) => standing !== "twin" && (standing !== "ours" || seen.unregistered));
  if (!one)
    throw new FaultError({
      code: "machine_not_found",
      message: `No host reports a machine ${id} that is not the hub's already.`,
      subject: id,
    });
  if (!other) return one;
  const message = `Several hosts report a machine ${id}: ${found.map(({ host }) => host.name).join(", ")}.`;
  throw new FaultError({ code: "host_unnamed", message, subject: id });
}

/** What it is now is what is wanted of it from now on; so it must be somewhere, and on its way nowhere. */
function adoptable({ seen, standing }: UnclaimedMachine): DesiredState {
  if (standing === "foreign" && seen.mark)
    throw new FaultError({ code: "machine_foreign", message: `${seen.name} belongs to the hub ${seen.mark.hubId}.`, subject: seen.name });
  const state = Desired.exclude(["absent"]).safeParse(seen.state);
  if (state.success) return state.data;
  const message = `${seen.name} is ${seen.state}: it can be adopted when it is running, stopped, suspended or paused.`;
  throw new FaultError({ code: "machine_state", message, subject: seen.name });
}

/** A row that is there keeps its name, which the host then follows. */
function known(machine: Machine, { name }: Adoption): Machine {
  if (name === undefined || name === machine.name) return machine;
  throw new FaultError({
    code: "invalid_request",
    message: `The hub knows this machine as ${machine.name}: rename it once it is adopted.`,
  });
}

async function addRow(tx: Database, found: UnclaimedMachine, desired: DesiredState, wanted: Adoption, { actor }: Asked): Promise<Machine> {
  const { seen, host } = found;
  const name = nameOf(found, wanted);
  const origin = seen.mark?.machineId ? await findAnyMachine(tx, seen.mark.machineId) : null;
  const from = origin?.ok ? origin.value : null;
  const { kind, guestOs, macAddress, addresses, bundlePath, diskBytes } = seen;
  const machine = await insertMachine(tx, {
    // A bundle that is registered nowhere, and is a copy, has no id yet.
    id: seen.unregistered && isCopy(found) ? randomUUID() : seen.id,
    project: actor.project,
    name,
    owner: actor.userId,
    hostId: host.id,
    epoch: seen.mark && !isCopy(found) ? seen.mark.epoch : 1,
    origin: "adopted",
    imageVersionId: from?.imageVersionId ?? null,
    image: from?.image ?? null,
    digest: from?.digest ?? null,
    kind,
    guestOs: guestOs ?? from?.guestOs ?? null,
    desired,
    observed: "making",
    // An unregistered bundle tells its size once it is registered.
    vcpus: Math.max(seen.vcpus, 1),
    memoryBytes: Math.max(seen.memoryBytes, 1),
    diskBytes,
    macAddress,
    addresses,
    bundlePath,
  });
  await reserve(tx, machine, host.id);
  return machine;
}

/** It takes its room already: there is nothing to refuse. */
async function reserve(tx: Database, { id, epoch, vcpus, memoryBytes, diskBytes, kind, desired }: Machine, hostId: string): Promise<void> {
  if (await findPlacement(tx, id)) return;
  const runs = desired !== "absent" && holdsProcessor(desired);
  await insertPlacement(tx, { machineId: id, epoch, hostId, vcpus, memoryBytes, diskBytes, macos: isMacOS(kind), runs });
}

/** The name on its host, which is changed there where another one is asked for. */
function nameOf({ seen }: UnclaimedMachine, wanted: Adoption): string {
  const name = MachineName.safeParse(wanted.name ?? seen.name);
  if (!name.success)
    throw new FaultError({
      code: "invalid_request",
      message: `No machine can be called ${seen.name}: give another name.`,
      subject: seen.name,
    });
  if (name.data !== seen.name && !seen.unregistered) unwrap(mayAct("rename", { name: seen.name, observed: seen.state }));
  return name.data;
}
