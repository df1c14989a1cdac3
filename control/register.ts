/**
 * Makes a machine of a bundle that lies on a host and that no machine is registered of.
 *
 * The one idea: it is an adoption that knows a path instead of a report; a bundle that its host reports already, by our mark, is adopted as what it is.
 */
import { randomUUID } from "node:crypto";
import { basename, extname } from "node:path/posix";
import type { Database } from "../db/connect.ts";
import { findAnyMachine, insertMachine } from "../db/machines.ts";
import { unclaimedMachines } from "../db/unclaimed.ts";
import { FaultError, type Result } from "../domain/errors.ts";
import { MachineName, type Machine, type Registration } from "../domain/machines/schema.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { AdoptInput } from "../workflows/machines/adopt.ts";
import { requestAdopt } from "./adopt.ts";
import { mustBeOwnPath } from "./bundles.ts";
import { workingHost, type Own } from "./catalog.ts";
import { startOperation, type Asked, type Control, type Draft } from "./start.ts";

export async function requestRegister(control: Control, wanted: Registration, asked: Asked): Promise<Result<Operation>> {
  const { hostId, path, name } = wanted;
  const { onFault = "park" } = asked;
  const reported = await unclaimedMachines(control.db, control.hubId, { hostId, project: asked.actor.project });
  const known = reported.find(({ seen }) => seen.unregistered && seen.bundlePath === bare(path));
  if (known) return requestAdopt(control, known.seen.id, { hostId, ...(name === undefined ? {} : { name }), onFault }, asked);
  return startOperation(control, asked, async (tx): Promise<Draft> => {
    await workingHost(tx, hostId);
    await mustBeOwnPath(tx, { hostId, path }, asked.actor);
    const machine = await addRow(tx, wanted, asked);
    const { id: machineId, name: machineName } = machine;
    const workflowInput: Own<AdoptInput> = { hostId, machineId, machineName, epoch: 1, seenId: machineId, bundlePath: path };
    return {
      verb: "adopt",
      subject: machineName,
      workflowSubject: machineId,
      workflowType: "adopt",
      workflowInput: { ...workflowInput },
      hostId,
      machineId,
      image: null,
      onFault,
      input: { hostId, epoch: 1, path, before: { adopted: true } },
      holds: [{ kind: "machine", subjectId: machineId, name: machineName, mode: "exclusive" }],
    };
  });
}

const bare = (path: string): string => path.replace(/\/+$/, "");

/** Its size is told by its host once it is registered; until then it takes no room that is counted. */
async function addRow(tx: Database, { hostId, path, name, machineId }: Registration, { actor }: Asked): Promise<Machine> {
  const suffix = extname(bare(path));
  if (suffix !== ".pvm" && suffix !== ".macvm")
    throw new FaultError({
      code: "bundle_invalid",
      message: `${path} is no machine's bundle: its name ends neither in .pvm nor in .macvm.`,
    });
  const called = MachineName.safeParse(name ?? basename(bare(path), suffix));
  if (!called.success)
    throw new FaultError({
      code: "invalid_request",
      message: `No machine can be called ${basename(bare(path), suffix)}: give another name.`,
    });
  if (machineId !== undefined && (await findAnyMachine(tx, machineId)).ok)
    throw new FaultError({ code: "machine_exists", message: `There is or was a machine of the id ${machineId}.`, subject: machineId });
  return insertMachine(tx, {
    id: machineId ?? randomUUID(),
    project: actor.project,
    name: called.data,
    owner: actor.userId,
    hostId,
    origin: "adopted",
    kind: suffix === ".macvm" ? "macvm" : "pvm",
    desired: "stopped",
    observed: "making",
    vcpus: 1,
    memoryBytes: 1,
    diskBytes: 0,
    bundlePath: bare(path),
  });
}
