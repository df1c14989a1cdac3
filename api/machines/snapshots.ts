/**
 * The wire's snapshots.
 *
 * The one idea: the list comes from the host at the moment of asking, so a snapshot that was just taken is in it.
 */
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import { MachineAction, Snapshot } from "../../domain/machines/schema.ts";
import { parsed } from "../http.ts";
import { wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { actAndWait } from "./act.ts";
import { found, own, type Family } from "./family.ts";
import { eitherTwin, mustOwn, type SnapshotAct } from "./owned.ts";
import {
  CreateVMSnapshotRequest,
  CreateVMSnapshotResponse,
  DeleteVMSnapshotRequest,
  ListVMSnapshotResponse,
  RevertVMSnapshotRequest,
  wireSnapshots,
} from "./wire.ts";

const Listed = z.array(Snapshot);

const pathOf = ({ base, param }: Family): string => `${base}/{${param}}/snapshots`;

export function snapshotRoutes(hub: Hub, mount: Mount, family: Family): void {
  allSnapshotsRoutes(hub, mount, family);
  oneSnapshotRoutes(hub, mount, family);
}

async function owned(hub: Hub, call: Call<unknown>, family: Family, act: SnapshotAct): Promise<string> {
  const { id, machine } = await own(hub, call, family);
  mustOwn(call.actor, machine, act);
  return id;
}

async function listed(hub: Hub, call: Call<unknown>, id: string): Promise<Snapshot[]> {
  const done = await actAndWait(hub, call, id, { verb: "snapshot-list" });
  return Listed.catch([]).parse(done.result?.["snapshots"]);
}

function allSnapshotsRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { tag } = family;
  const path = pathOf(family);

  mount(
    "get",
    path,
    "List snapshots",
    { tag, needs: eitherTwin("list"), status: family.fleet ? 200 : 202, reply: ListVMSnapshotResponse },
    async (call) => {
      const { machine } = await found(hub, call, family).catch((error: unknown) =>
        isAbsent(error) ? { machine: null } : Promise.reject(error),
      );
      if (!machine) return {};
      mustOwn(call.actor, machine, "list");
      return wireSnapshots(await listed(hub, call, machine.id), call.query("group") === "true");
    },
  );
  mount(
    "post",
    path,
    "Take a snapshot",
    {
      tag,
      needs: eitherTwin("create"),
      status: 202,
      body: CreateVMSnapshotRequest,
      reply: CreateVMSnapshotResponse,
    },
    async (call) => {
      const id = await owned(hub, call, family, "create");
      const name = call.body.snapshot_name === "" ? "Snapshot" : call.body.snapshot_name;
      const done = await actAndWait(
        hub,
        call,
        id,
        parsed(MachineAction, { verb: "snapshot-create", name, description: call.body.snapshot_description }),
      );
      return { snapshot_name: name, ...present({ snapshot_id: wordIn(done.result, "snapshotId") }) };
    },
  );
  mount("delete", path, "Remove all snapshots", { tag, needs: eitherTwin("clear"), status: 202 }, async (call) => {
    const id = await owned(hub, call, family, "clear");
    for (const { id: snapshotId } of (await listed(hub, call, id)).filter(({ parentId }) => parentId === null))
      await actAndWait(hub, call, id, { verb: "snapshot-delete", snapshotId, children: true });
  });
}

function oneSnapshotRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { tag } = family;
  const path = `${pathOf(family)}/{snapshot_id}`;
  mount(
    "delete",
    path,
    "Remove a snapshot",
    { tag, needs: eitherTwin("delete"), status: 202, body: DeleteVMSnapshotRequest },
    async (call) => {
      const id = await owned(hub, call, family, "delete");
      await actAndWait(
        hub,
        call,
        id,
        snapshotAction({ verb: "snapshot-delete", snapshotId: call.param("snapshot_id"), children: call.body.delete_children }),
      );
    },
  );
  mount(
    "post",
    `${path}/revert`,
    "Go back to a snapshot",
    { tag, needs: eitherTwin("revert"), status: 202, body: RevertVMSnapshotRequest },
    async (call) => {
      const id = await owned(hub, call, family, "revert");
      await actAndWait(
        hub,
        call,
        id,
        snapshotAction({ verb: "snapshot-revert", snapshotId: call.param("snapshot_id"), resume: !call.body.skip_resume }),
      );
    },
  );
}

function snapshotAction(action: z.input<typeof MachineAction>): MachineAction {
  const result = MachineAction.safeParse(action);
  if (result.success) return result.data;
  throw refusal(400, "error 400: no such snapshot");
}

const isAbsent = (error: unknown): boolean => error instanceof FaultError && error.fault.code === "machine_not_found";
