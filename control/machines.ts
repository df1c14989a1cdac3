/**
 * What callers ask of machines: to make one, and to do something to one.
 *
 * The one idea: the machine's row is locked before anything is decided about it, so holds, reservations and names are judged one request after another.
 */
import { randomUUID } from "node:crypto";
import type { Database } from "../db/connect.ts";
import { countDownload } from "../db/images.ts";
import { findAnyMachine, findMachine, insertMachine, renameMachine, updateMachine, type NewMachineRow } from "../db/machines.ts";
import { findPlacement, insertPlacement } from "../db/placements.ts";
import { mustFit } from "../db/projects.ts";
import type { Before } from "../db/settlement.ts";
import { growthOf } from "../domain/access/projects.ts";
import { imageName } from "../domain/catalog/rules.ts";
import type { ImageVersion } from "../domain/catalog/schema.ts";
import { FaultError, ok, unwrap, type Result } from "../domain/errors.ts";
import { mayTakeMachines } from "../domain/hosts/rules.ts";
import { desiredBy, mayAct, mayClone, mayStop } from "../domain/machines/rules.ts";
import type { Machine, MachineAction, NewMachine } from "../domain/machines/schema.ts";
import { holdModeOf } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { Action, OperateInput } from "../workflows/machines/operate.ts";
import type { ProvisionInput } from "../workflows/machines/provision.ts";
import { mustBeOwnPath } from "./bundles.ts";
import { chooseImage, workingHost, type Own } from "./catalog.ts";
import { mustPushAside } from "./push-aside.ts";
import { reserveDisk, reserveProcessor } from "./reservations.ts";
import { holderOf, startOperation, type Asked, type Control, type Draft } from "./start.ts";

/** Where neither the request nor the image says more: what every guest system boots with. */
const fallback = { vcpus: 2, memoryBytes: 2 * 1024 ** 3 };

/** A busy fleet has room again within the hour, or somebody has to look. */
const waitsSeconds = 3_600;

/** Makes a machine from an image. Its row exists from now on; a host is chosen when the workflow places it. */
export async function requestMachine(
  control: Control,
  wanted: NewMachine,
  asked: Asked,
): Promise<Result<{ operation: Operation; machine: Machine }>> {
  const begun = await startOperation(control, asked, (tx) => draftMachine(tx, wanted, asked));
  if (!begun.ok) return begun;
  const machine = await findAnyMachine(control.db, begun.value.machineId ?? "");
  return machine.ok ? ok({ operation: begun.value, machine: machine.value }) : machine;
}

/** For who writes more in the transaction that asks for the machine. */
export async function draftMachine(tx: Database, wanted: NewMachine, asked: Asked): Promise<Draft & { readonly machineId: string }> {
  const image = await imageFor(tx, wanted, asked);
  const machine = await insertMachine(tx, machineOf(wanted, image, asked));
  await countDownload(tx, image.id, asked.actor.username);
  return draftOf(machine, image, wanted, asked);
}

/** What the machine is made from, where its host may take machines at all. */
export async function imageFor(tx: Database, wanted: NewMachine, asked: Asked): Promise<ImageVersion> {
  const host = wanted.hostId === undefined ? null : await workingHost(tx, wanted.hostId);
  if (host) unwrap(mayTakeMachines(host));
  return chooseImage(tx, {
    project: asked.actor.project,
    reference: wanted.image,
    preferred: host?.facts?.architecture ?? null,
    holder: holderOf(asked.actor),
  });
}

export function draftOf(
  { id, name }: Machine,
  image: ImageVersion,
  wanted: NewMachine,
  asked: Asked,
): Draft & { readonly machineId: string } {
  const holder = holderOf(asked.actor);
  const waitSeconds = wanted.waitSeconds ?? (wanted.onFault === "park" ? waitsSeconds : 0);
  const workflowInput: Own<ProvisionInput> = { machineId: id, waitMs: waitSeconds * 1000 };
  return {
    verb: "provision",
    subject: name,
    workflowSubject: id,
    workflowType: "provision",
    workflowInput: { ...workflowInput },
    hostId: wanted.hostId ?? null,
    machineId: id,
    image: imageName(image),
    onFault: wanted.onFault,
    input: {
      imageVersionId: image.id,
      holder,
      hostId: wanted.hostId ?? null,
      hostLabels: wanted.hostLabels,
      start: wanted.start,
      priority: wanted.priority,
      tolerates: wanted.tolerates,
      apartFrom: wanted.apartFrom,
      profile: wanted.profile,
    },
    holds: [{ kind: "machine", subjectId: id, name, mode: "exclusive" }],
  };
}

/** The row of a machine that is to be made. */
export function machineOf(wanted: NewMachine, image: ImageVersion, { actor }: Asked): NewMachineRow {
  const { name, description, labels, start, ttlSeconds } = wanted;
  const least = image.minimum ?? { vcpus: 1, memoryBytes: 0, diskBytes: 0 };
  const vcpus = wanted.vcpus ?? Math.max(image.vcpus ?? fallback.vcpus, least.vcpus);
  const memoryBytes = wanted.memoryBytes ?? Math.max(image.memoryBytes ?? fallback.memoryBytes, least.memoryBytes);
  if (vcpus < least.vcpus || memoryBytes < least.memoryBytes) {
    const message = `A machine of ${imageName(image)} needs at least ${least.vcpus} vCPU and ${least.memoryBytes} bytes of memory.`;
    throw new FaultError({ code: "invalid_request", message, subject: name });
  }
  return {
    id: randomUUID(),
    project: actor.project,
    name,
    owner: actor.userId,
    origin: "image",
    imageVersionId: image.id,
    image: imageName(image),
    digest: image.digest,
    kind: image.kind,
    guestOs: image.guestOs,
    desired: start ? "running" : "stopped",
    observed: "making",
    vcpus,
    memoryBytes,
    diskBytes: Math.max(image.allocatedBytes, least.diskBytes),
    description,
    labels,
    ttlSeconds,
    // Its disks hold what the image guards.
    requiredRoles: image.requiredRoles,
    requiredClaims: image.requiredClaims,
  };
}

/** Does one thing to a machine. A forced stop pushes aside whoever holds it. */
export async function requestAction(control: Control, idOrName: string, action: MachineAction, asked: Asked): Promise<Result<Operation>> {
  const { verb } = action;
  const secret = action.verb === "execute" ? { script: action.script, environment: action.environment } : undefined;
  const prepare = async (tx: Database): Promise<Draft> => {
    const machine = unwrap(await findMachine(tx, idOrName, { lock: true, reader: asked.actor }));
    const { id, name, epoch, image } = machine;
    const takesOver = await mustPushAside(tx, machine, action);
    const hostId = hostOfMachine(machine);
    if (action.verb === "upload") await mustBeOwnPath(tx, { hostId, path: action.path }, asked.actor);
    unwrap(mayAct(verb, machine));
    if (action.verb === "stop") unwrap(mayStop(machine, action.mode));
    if (action.verb === "clone") unwrap(mayClone({ name, isLinked: machine.linkedTo !== null }, action.linked));
    const before = await reserve(control, tx, machine, action, asked);
    const { cloneId } = before;
    const workflowInput: Own<OperateInput> = {
      hostId,
      machineId: id,
      machineName: name,
      epoch,
      action: withoutSecrets(action),
      takesOver,
      ...(cloneId === undefined ? {} : { cloneId }),
    };
    const held = { kind: "machine", subjectId: id, name, mode: holdModeOf(verb) } as const;
    return {
      verb,
      subject: name,
      workflowSubject: id,
      workflowType: "operate",
      workflowInput: { ...workflowInput },
      hostId,
      machineId: id,
      image,
      onFault: asked.onFault ?? "park",
      input: { action: withoutSecrets(action), before },
      holds: [...(takesOver ? [] : [held]), ...(cloneId === undefined ? [] : [{ ...held, subjectId: cloneId }])],
    };
  };
  return startOperation(control, asked, prepare, secret);
}

function hostOfMachine({ hostId, name, observed }: Machine): string {
  if (observed === "absent") throw new FaultError({ code: "machine_lost", message: `${name} is not on its host any more.`, subject: name });
  if (hostId === null) throw new FaultError({ code: "machine_state", message: `${name} has no host yet.`, subject: name });
  return hostId;
}

/** Writes what the action desires and reserves what it needs; answers what has to be put back should it come to nothing. */
async function reserve(control: Control, tx: Database, machine: Machine, action: MachineAction, asked: Asked): Promise<Before> {
  const before: Before = {};
  const desired = desiredBy(action.verb);
  if (desired !== null && desired !== machine.desired) {
    before.desired = machine.desired;
    await updateMachine(tx, machine.id, { desired });
  }
  if (action.verb === "configure") await mustFit(tx, machine.project, growthOf(machine, action));
  const heldBefore = await reserveProcessor(tx, machine, action.verb, control.reserve);
  if (heldBefore !== null) before.runs = heldBefore;
  if (action.verb === "rename") {
    before.name = machine.name;
    await renameMachine(tx, machine.id, action.name);
  }
  if (action.verb === "clone") before.cloneId = await addClone(control, tx, machine, action, asked);
  return before;
}

async function addClone(
  control: Control,
  tx: Database,
  source: Machine,
  { name, linked }: Extract<MachineAction, { verb: "clone" }>,
  { actor }: Asked,
): Promise<string> {
  const id = randomUUID();
  const hostId = hostOfMachine(source);
  const { project, imageVersionId, image, digest, kind, guestOs, vcpus, memoryBytes, description, requiredRoles, requiredClaims } = source;
  const diskBytes = linked ? 0 : source.diskBytes;
  await reserveDisk(tx, { hostId, name, diskBytes }, control.reserve);
  const from = {
    project,
    imageVersionId,
    image,
    digest,
    kind,
    guestOs,
    vcpus,
    memoryBytes,
    description,
    diskBytes,
    requiredRoles,
    requiredClaims,
  };
  const state = { origin: "clone", desired: "stopped", observed: "making", linkedTo: linked ? source.id : null } as const;
  await insertMachine(tx, { id, name, owner: actor.userId, hostId, ...state, ...from });
  const held = await findPlacement(tx, source.id);
  const macos = held?.macos ?? kind === "macvm";
  await insertPlacement(tx, { machineId: id, epoch: 1, hostId, vcpus, memoryBytes, diskBytes, macos, runs: false });
  return id;
}

/** A script and its environment are sealed; nothing else of an action is a secret. */
function withoutSecrets(action: MachineAction): Action {
  if (action.verb !== "execute") return { ...action };
  const { script: _script, environment: _environment, ...told } = action;
  return told;
}
