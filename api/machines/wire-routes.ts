/**
 * The wire's machines, in its three families: of a host, of the fleet, and of a named host of the fleet.
 *
 * The one idea: the families differ in path, claims and the status of reads only, so each route is written once and mounted for each.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { holdsProcessor } from "../../domain/machines/rules.ts";
import { MachineAction } from "../../domain/machines/schema.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { inTurns } from "../../db/in-turns.ts";
import { sightOf } from "../../db/machine-pages.ts";
import { seenMachines, type SeenFilter } from "../../db/observed.ts";
import { together } from "../../db/together.ts";
import { findHost } from "../../db/hosts.ts";
import { listOutput } from "../../db/outputs.ts";
import { outputSeal } from "../../security/sealed-texts.ts";
import { namedHost } from "../hosts/scope.ts";
import { parsed } from "../http.ts";
import { answerWritten } from "../middleware/conditional.ts";
import { wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { actAndWait, finished } from "./act.ts";
import { createRoutes } from "./create.ts";
import { found, own, type Family } from "./family.ts";
import { snapshotRoutes } from "./snapshots.ts";
import { registerRoutes, uploadRoutes } from "./wire-bundles.ts";
import { changesOf, type Change } from "./set.ts";
import {
  ParallelsVM,
  RenameVirtualMachineRequest,
  VirtualMachineCloneCommandRequest,
  VirtualMachineCloneCommandResponse,
  VirtualMachineConfigRequest,
  VirtualMachineConfigResponse,
  VirtualMachineExecuteCommandRequest,
  VirtualMachineExecuteCommandResponse,
  VirtualMachineOperationResponse,
  VirtualMachineStatusResponse,
  wireMachine,
} from "./wire.ts";

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
  registerRoutes(hub, ofHost, onHost);
  registerRoutes(hub, orchestrator, ofFleetHost);
  uploadRoutes(hub, ofHost, onHost);
}

/** A list has no pages, and may be thousands of machines long: those who ask for the same one at the same time get the same bytes. */
async function listed(hub: Hub, key: string, fleet: boolean) {
  const rows = await inTurns(await seenMachines(hub.db, JSON.parse(key) as SeenFilter), (some) =>
    some.map((one) => wireMachine(one, { fleet })),
  );
  const texts = await inTurns(rows, (some) => some.map((row) => JSON.stringify(row)));
  const json = Buffer.from(`[${texts.join(",")}]`);
  return { rows, json, version: createHash("sha1").update(json).digest("base64url") };
}

function readRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, param, tag, fleet, readStatus: status } = family;
  const needs = { claims: [family.claims.list] };
  const lists = together(
    async (keys) => new Map(await Promise.all(keys.map(async (key) => [key, await listed(hub, key, fleet)] as const))),
  );
  mount("get", base, "List machines", { tag, needs, status, reply: z.array(ParallelsVM) }, async (call) => {
    const hostId = (await family.hostId(hub, call)) ?? undefined;
    const filter = call.c.req.header("X-Filter");
    // A filter that is none is refused where there is nothing to filter, too.
    filtered([], filter);
    const list = (await lists(JSON.stringify({ hostId, reader: sightOf(call.actor) }))) ?? { rows: [], json: "[]", version: "none" };
    if (filter === undefined || filter === "") return answerWritten(call.c, { whole: async () => list, status });
    return inTurns(list.rows, (some) => filtered(some, filter));
  });
  mount("get", `${base}/{${param}}`, "Get a machine by id or name", { tag, needs, status, reply: ParallelsVM }, async (call) =>
    wireMachine(await found(hub, call, family), { fleet }),
  );
  mount(
    "get",
    `${base}/{${param}}/status`,
    "Get a machine's state and address",
    { tag, needs, status, reply: VirtualMachineStatusResponse },
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
      "put",
      `${base}/{${param}}/${verb}`,
      `${operation} a machine`,
      { also: "get", tag, needs: { claims: [claims.states] }, status: 200, reply: VirtualMachineOperationResponse },
      async (call) => {
        const { id } = await own(hub, call, family);
        const forced = verb === "stop" && call.query("force") === "true";
        await actAndWait(hub, call, id, parsed(MachineAction, { verb, ...(forced ? { mode: "kill" } : {}) }));
        return { id: call.param(param), operation, status: "Success" };
      },
    );
  }
  mount("delete", `${base}/{${param}}`, "Remove a machine", { tag, needs: { claims: [claims.remove] }, status: 202 }, async (call) => {
    const force = call.query("force") === "true";
    const { id, machine, missing } = await own(hub, call, family).then(
      (found) => ({ ...found, missing: null }),
      (error: unknown) => {
        if (!isMissing(error)) throw error;
        return { id: call.param(param), machine: null, missing: error };
      },
    );
    const ending = machine === null || machine.desired === "absent" || machine.observed === "making" || machine.observed === "unknown";
    if (!force && !ending && holdsProcessor(machine.observed)) throw refusal(400, "error: VM is not stopped");
    const asked = await hub.operations.retire(id, { force }, call.asked);
    // Its end is waited for while it is under way; once it is over there is no such machine.
    if (missing !== null && asked.ok && isSettled(asked.value.state)) throw missing;
    await finished(hub, call, asked);
  });
}

const isMissing = (error: unknown): error is FaultError => error instanceof FaultError && error.fault.code === "machine_not_found";

function changeRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, param, tag, claims, fleet } = family;
  mount(
    "put",
    `${base}/{${param}}/set`,
    "Change a machine by a list of operations",
    { tag, needs: { claims: [claims.update] }, status: 200, body: VirtualMachineConfigRequest, reply: VirtualMachineConfigResponse },
    async (call) => {
      const changes = changesOf(call.body.operations);
      const { id } = await own(hub, call, family);
      const operations = [];
      for (const change of changes) operations.push(await applied(hub, call, id, change));
      return { operations };
    },
  );
  mount(
    "put",
    `${base}/{${param}}/rename`,
    "Rename a machine",
    { tag, needs: { claims: [claims.update] }, status: 200, body: RenameVirtualMachineRequest, reply: ParallelsVM },
    async (call) => {
      const { new_name: name, description } = call.body;
      if (name === "") throw refusal(400, "Invalid request body: missing new_name");
      const { id } = await own(hub, call, family);
      await actAndWait(hub, call, id, parsed(MachineAction, { verb: "rename", name }));
      if (description !== "") await actAndWait(hub, call, id, parsed(MachineAction, { verb: "configure", description }));
      const byId = { c: call.c, actor: call.actor, param: (word: string) => (word === param ? id : call.param(word)) };
      return wireMachine(await found(hub, byId, family), { fleet });
    },
  );
  mount(
    "put",
    `${base}/{${param}}/clone`,
    "Clone a machine",
    {
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
    "put",
    `${base}/{${param}}/execute`,
    "Run a command in the guest",
    {
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
      const { items } = await listOutput(hub.db, outputSeal(hub.sealer), { operationId: done.id, after: 0, limit: allLines });
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
