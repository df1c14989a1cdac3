/**
 * The wire's machines, in its three families: of a host, of the fleet, and of a named host of the fleet.
 *
 * The one idea: the families differ in path, claims and the status of reads only, so each route is written once and mounted for each.
 */
import { z } from "zod";
import type { ClaimId } from "../../domain/access/claims.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { holdsProcessor } from "../../domain/machines/rules.ts";
import { MachineAction, Snapshot } from "../../domain/machines/schema.ts";
import { seenMachines, type SeenMachine } from "../../db/observed.ts";
import { findHost } from "../../db/hosts.ts";
import { listOutput } from "../../db/outputs.ts";
import { namedHost } from "../hosts/scope.ts";
import { parsed } from "../http.ts";
import { wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { actAndWait, finished } from "./act.ts";
import { createRoutes } from "./create.ts";
import { changesOf, type Change } from "./set.ts";
import {
  CreateVMSnapshotRequest,
  CreateVMSnapshotResponse,
  DeleteVMSnapshotRequest,
  ListVMSnapshotResponse,
  ParallelsVM,
  RenameVirtualMachineRequest,
  RevertVMSnapshotRequest,
  VirtualMachineCloneCommandRequest,
  VirtualMachineCloneCommandResponse,
  VirtualMachineConfigRequest,
  VirtualMachineConfigResponse,
  VirtualMachineExecuteCommandRequest,
  VirtualMachineExecuteCommandResponse,
  VirtualMachineOperationResponse,
  VirtualMachineStatusResponse,
  wireMachine,
  wireSnapshots,
} from "./wire.ts";

export interface Family {
  readonly base: string;
  /** The machine's name in the path. */
  readonly param: string;
  readonly tag: string;
  readonly fleet: boolean;
  readonly readStatus: 200 | 202;
  readonly claims: Readonly<Record<"list" | "update" | "states" | "remove" | "clone", ClaimId>>;
  /** Null: of all hosts. */
  hostId(hub: Hub, call: Pick<Call<unknown>, "c" | "param">): Promise<string | null>;
}

const onHost: Family = {
  base: "/machines",
  param: "id",
  tag: "machines",
  fleet: false,
  readStatus: 200,
  claims: { list: "LIST_VM", update: "UPDATE_VM", states: "UPDATE_VM_STATES", remove: "DELETE_VM", clone: "CREATE_VM" },
  hostId: async (hub, call) => (await namedHost(hub, call))?.id ?? null,
};
const ofFleet: Family = {
  base: "/orchestrator/machines",
  param: "id",
  tag: "orchestrator machines",
  fleet: true,
  readStatus: 202,
  claims: { list: "LIST", update: "UPDATE", states: "UPDATE_VM_STATES", remove: "DELETE", clone: "UPDATE" },
  hostId: async () => null,
};
const ofFleetHost: Family = {
  ...ofFleet,
  base: "/orchestrator/hosts/{id}/machines",
  param: "vmId",
  claims: { ...ofFleet.claims, states: "UPDATE" },
  hostId: async (hub, call) => unwrap(await findHost(hub.db, call.param("id"))).id,
};

export function machineWireRoutes(hub: Hub, ofHost: Mount, orchestrator: Mount): void {
  for (const [family, mount] of [
    [onHost, ofHost],
    [ofFleet, orchestrator],
    [ofFleetHost, orchestrator],
  ] as const) {
    createRoutes(hub, mount, family);
    readRoutes(hub, mount, family);
    stateRoutes(hub, mount, family);
    changeRoutes(hub, mount, family);
    guestRoutes(hub, mount, family);
    snapshotRoutes(hub, mount, family);
  }
}

type Asking = Pick<Call<unknown>, "c" | "param">;

/** By id or name, in any case. What another host has does not exist for a request that names a host. */
async function found(hub: Hub, call: Asking, family: Family): Promise<SeenMachine> {
  const word = call.param(family.param).toLowerCase();
  const all = await seenMachines(hub.db, (await family.hostId(hub, call)) ?? undefined);
  const named = (one: SeenMachine) => (one.machine?.name ?? one.seen?.name ?? "").toLowerCase() === word;
  const one = all.find(({ machine, seen }) => (machine?.id ?? seen?.id) === word) ?? all.find(named);
  if (one) return one;
  throw new FaultError({ code: "machine_not_found", message: `There is no machine ${word}.` });
}

/** One that is ours: foreign machines are shown and never touched. */
async function own(hub: Hub, call: Asking, family: Family): Promise<{ id: string; machine: NonNullable<SeenMachine["machine"]> }> {
  const { machine, seen } = await found(hub, call, family);
  if (machine) return { id: machine.id, machine };
  throw refusal(400, `error 400: ${seen?.name ?? "the machine"} was not made by this service; adopt it first`);
}

function readRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, param, tag, fleet, readStatus: status } = family;
  const needs = { claims: [family.claims.list] };
  mount({ method: "get", path: base, summary: "List machines", tag, needs, status, reply: z.array(ParallelsVM) }, async (call) => {
    const rows = (await seenMachines(hub.db, (await family.hostId(hub, call)) ?? undefined)).map((one) => wireMachine(one, { fleet }));
    return filtered(rows, call.c.req.header("X-Filter"));
  });
  mount(
    { method: "get", path: `${base}/{${param}}`, summary: "Get a machine by id or name", tag, needs, status, reply: ParallelsVM },
    async (call) => wireMachine(await found(hub, call, family), { fleet }),
  );
  mount(
    {
      method: "get",
      path: `${base}/{${param}}/status`,
      summary: "Get a machine's state and address",
      tag,
      needs,
      status,
      reply: VirtualMachineStatusResponse,
    },
    async (call) => {
      const one = await found(hub, call, family);
      const { ID, State } = wireMachine(one, { fleet });
      const address = State === "running" ? (one.machine?.addresses[0] ?? one.seen?.addresses[0]) : undefined;
      return { id: ID, status: State, ip_configured: address || "-" };
    },
  );
}

const stateVerbs = ["start", "stop", "restart", "pause", "resume", "reset", "suspend"] as const;

/** Clients of several generations use PUT or GET; some send bodies that mean nothing. */
function stateRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, param, tag, claims } = family;
  for (const verb of stateVerbs) {
    const operation = `${verb[0]?.toUpperCase()}${verb.slice(1)}`;
    mount(
      {
        method: "put",
        also: "get",
        path: `${base}/{${param}}/${verb}`,
        summary: `${operation} a machine`,
        tag,
        needs: { claims: [claims.states] },
        status: 200,
        reply: VirtualMachineOperationResponse,
      },
      async (call) => {
        const { id } = await own(hub, call, family);
        const forced = verb === "stop" && call.query("force") === "true";
        await actAndWait(hub, call, id, parsed(MachineAction, { verb, ...(forced ? { mode: "kill" } : {}) }));
        return { id: call.param(param), operation, status: "Success" };
      },
    );
  }
  mount(
    { method: "delete", path: `${base}/{${param}}`, summary: "Remove a machine", tag, needs: { claims: [claims.remove] }, status: 202 },
    async (call) => {
      const { id, machine } = await own(hub, call, family);
      const force = call.query("force") === "true";
      if (!force && holdsProcessor(machine.observed) && machine.observed !== "making" && machine.observed !== "unknown")
        throw refusal(400, "error: VM is not stopped");
      await finished(hub, call, await hub.operations.retire(id, { force }, call.asked));
    },
  );
}

function changeRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, param, tag, claims, fleet } = family;
  mount(
    {
      method: "put",
      path: `${base}/{${param}}/set`,
      summary: "Change a machine by a list of operations",
      tag,
      needs: { claims: [claims.update] },
      status: 200,
      body: VirtualMachineConfigRequest,
      reply: VirtualMachineConfigResponse,
    },
    async (call) => {
      const changes = changesOf(call.body.operations);
      const { id } = await own(hub, call, family);
      const operations = [];
      for (const change of changes) operations.push(await applied(hub, call, id, change));
      return { operations };
    },
  );
  mount(
    {
      method: "put",
      path: `${base}/{${param}}/rename`,
      summary: "Rename a machine",
      tag,
      needs: { claims: [claims.update] },
      status: 200,
      body: RenameVirtualMachineRequest,
      reply: ParallelsVM,
    },
    async (call) => {
      const { new_name: name, description } = call.body;
      if (name === "") throw refusal(400, "Invalid request body: missing new_name");
      const { id } = await own(hub, call, family);
      await actAndWait(hub, call, id, parsed(MachineAction, { verb: "rename", name }));
      if (description !== "") await actAndWait(hub, call, id, parsed(MachineAction, { verb: "configure", description }));
      return wireMachine(await found(hub, { c: call.c, param: (word) => (word === param ? id : call.param(word)) }, family), { fleet });
    },
  );
  mount(
    {
      method: "put",
      path: `${base}/{${param}}/clone`,
      summary: "Clone a machine",
      tag,
      needs: { claims: [claims.clone] },
      status: 200,
      body: VirtualMachineCloneCommandRequest,
      reply: VirtualMachineCloneCommandResponse,
    },
    async (call) => {
      if (call.body.clone_name === "") throw refusal(400, "Invalid request body: error 400: missing clone name");
      const { id } = await own(hub, call, family);
      const done = await actAndWait(hub, call, id, parsed(MachineAction, { verb: "clone", name: call.body.clone_name }));
      return { id: wordIn(done.result, "machineId") ?? id, status: "Success" };
    },
  );
}

/** One change that fails says so in the list; the others go on. */
async function applied(hub: Hub, call: Call<unknown>, id: string, change: Change) {
  const { group, operation } = change.operation;
  if ("error" in change) return { group, operation, status: "Error", error: change.error };
  try {
    await actAndWait(hub, call, id, change.action);
    return { group, operation, status: "Success" };
  } catch (error) {
    if (!(error instanceof FaultError) || error.fault.code === "hub_unavailable") throw error;
    return { group, operation, status: "Error", error: error.fault.message };
  }
}

/** All that a command may have written is kept below 10 MiB; lines are far fewer than this. */
const allLines = 1_000_000;

function guestRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, param, tag } = family;
  mount(
    {
      method: "put",
      path: `${base}/{${param}}/execute`,
      summary: "Run a command in the guest",
      tag,
      needs: { claims: ["EXECUTE_COMMAND_VM"] },
      status: 200,
      body: VirtualMachineExecuteCommandRequest,
      reply: VirtualMachineExecuteCommandResponse,
    },
    async (call) => {
      const { command, environment_variables: environment, script } = call.body;
      if (command === "")
        throw refusal(
          400,
          script === undefined
            ? "Invalid request body: error 400: missing script"
            : "Invalid request body: error 400: scripts on the host are not run; send the command",
        );
      const { id, machine } = await own(hub, call, family);
      if (machine.observed === "stopped" || machine.observed === "suspended" || machine.observed === "paused")
        throw refusal(400, "error: VM is not running");
      const done = await actAndWait(hub, call, id, parsed(MachineAction, { verb: "execute", script: command, environment }));
      const { items } = await listOutput(hub.db, { operationId: done.id, after: 0, limit: allLines });
      const written = (stream: "stdout" | "stderr") =>
        items
          .filter((line) => line.stream === stream)
          .map(({ text }) => text)
          .join("")
          .replace(/\n$/, "");
      const exitCode = Number(done.result?.["exitCode"] ?? 0);
      const [stdout, stderr] = [written("stdout"), written("stderr")];
      return {
        ...present({ stdout, stderr }),
        exit_code: exitCode,
        ...present({ error: exitCode === 0 ? "" : `${stderr}\n, err: exit status ${exitCode}` }),
      };
    },
  );
}

const Listed = z.array(Snapshot);

function snapshotRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, param, tag } = family;
  const path = `${base}/{${param}}/snapshots`;
  const either = (...claims: ClaimId[]) => ({ claims, any: true });
  const listed = async (call: Call<unknown>, id: string) => {
    const done = await actAndWait(hub, call, id, { verb: "snapshot-list" });
    return Listed.catch([]).parse(done.result?.["snapshots"]);
  };

  mount(
    {
      method: "get",
      path,
      summary: "List snapshots",
      tag,
      needs: either("LIST_SNAPSHOT_VM", "LIST_OWN_VM_SNAPSHOT"),
      status: family.fleet ? 200 : 202,
      reply: ListVMSnapshotResponse,
    },
    async (call) => {
      const { machine } = await found(hub, call, family).catch((error: unknown) =>
        isAbsent(error) ? { machine: null } : Promise.reject(error),
      );
      return machine ? wireSnapshots(await listed(call, machine.id), call.query("group") === "true") : {};
    },
  );
  mount(
    {
      method: "post",
      path,
      summary: "Take a snapshot",
      tag,
      needs: either("CREATE_SNAPSHOT_VM", "CREATE_OWN_VM_SNAPSHOT"),
      status: 202,
      body: CreateVMSnapshotRequest,
      reply: CreateVMSnapshotResponse,
    },
    async (call) => {
      const { id } = await own(hub, call, family);
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
  mount(
    {
      method: "delete",
      path,
      summary: "Remove all snapshots",
      tag,
      needs: either("DELETE_ALL_SNAPSHOTS_VM", "DELETE_ALL_OWN_VM_SNAPSHOTS"),
      status: 202,
    },
    async (call) => {
      const { id } = await own(hub, call, family);
      for (const { id: snapshotId } of (await listed(call, id)).filter(({ parentId }) => parentId === null))
        await actAndWait(hub, call, id, { verb: "snapshot-delete", snapshotId, children: true });
    },
  );
  mount(
    {
      method: "delete",
      path: `${path}/{snapshot_id}`,
      summary: "Remove a snapshot",
      tag,
      needs: either("DELETE_SNAPSHOT_VM", "DELETE_OWN_VM_SNAPSHOT"),
      status: 202,
      body: DeleteVMSnapshotRequest,
    },
    async (call) => {
      const { id } = await own(hub, call, family);
      await actAndWait(
        hub,
        call,
        id,
        snapshotAction({ verb: "snapshot-delete", snapshotId: call.param("snapshot_id"), children: call.body.delete_children }),
      );
    },
  );
  mount(
    {
      method: "post",
      path: `${path}/{snapshot_id}/revert`,
      summary: "Go back to a snapshot",
      tag,
      needs: either("REVERT_SNAPSHOT_VM", "REVERT_OWN_VM_SNAPSHOT"),
      status: 202,
      body: RevertVMSnapshotRequest,
    },
    async (call) => {
      const { id } = await own(hub, call, family);
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
