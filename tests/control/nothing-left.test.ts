/**
 * Whatever is asked, in whatever order, and however it ends: when everything has ended, nothing is held, reserved or intended any more.
 *
 * The one idea: a seeded walk over requests, ends and crashes against the real database; its seed stands in the failure, so that it can be walked again.
 */
import { randomInt, randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { placementActivities, actionActivities, retireActivities } from "../../activities/hub/machines.ts";
import { cancelOperation } from "../../control/cancel.ts";
import { requestPull, requestPush } from "../../control/catalog.ts";
import { requestAction, requestMachine } from "../../control/machines.ts";
import { requestRetire } from "../../control/retire.ts";
import { startIntended, retireDue } from "../../control/sweep.ts";
import { hosts } from "../../db/schema.ts";
import { listMachines } from "../../db/machines.ts";
import { unsettledOperations } from "../../db/operations.ts";
import { settleOperation } from "../../db/settlement.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import { MachineAction, NewMachine } from "../../domain/machines/schema.ts";
import { faultRecord } from "../../domain/operations/rules.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { addHost, addImage, addStore, asked, openHub, type Hub } from "./hub.ts";

let hub: Hub;
let hostIds: string[];
beforeAll(async () => {
  hub = await openHub();
  await addImage(hub, await addStore(hub), "ubuntu");
  hostIds = await Promise.all([addHost(hub), addHost(hub), addHost(hub)]);
}, 180_000);
afterAll(() => hub.close());

/** Numbers below `n` from a seed: the same walk for the same seed. */
function dice(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const verbs = ["start", "stop", "suspend", "resume", "restart", "configure", "rename", "clone", "snapshot-create", "execute"] as const;

function action(verb: (typeof verbs)[number], roll: (n: number) => number): MachineAction {
  const more = {
    configure: { vcpus: 1 + roll(4) },
    rename: { name: `r-${roll(6)}` },
    clone: { name: `c-${roll(6)}` },
    "snapshot-create": { name: "s" },
    execute: { script: "true" },
    stop: { mode: roll(2) === 0 ? "graceful" : "kill" },
  };
  return MachineAction.parse({ verb, ...(verb in more ? more[verb as keyof typeof more] : {}) });
}

async function someMachine(roll: (n: number) => number): Promise<string> {
  const { items } = await listMachines(hub.control.db, {}, { limit: 500 });
  return items[roll(Math.max(items.length, 1))]?.id ?? randomUUID();
}

/** One request of any kind; a refusal is an answer like any other. */
async function request(roll: (n: number) => number): Promise<unknown> {
  const { control } = hub;
  switch (roll(16)) {
    case 4:
    case 0:
      return requestMachine(
        control,
        NewMachine.parse({ name: `m-${roll(8)}`, image: { catalogId: "ubuntu" }, start: roll(2) === 0 }),
        asked(),
      );
    case 1:
      return requestRetire(control, await someMachine(roll), { force: roll(2) === 0 }, asked());
    case 2:
      return requestPush(
        control,
        NewImageVersion.parse({
          path: "/a.pvm",
          hostId: hostIds[roll(3)],
          catalogId: "ubuntu",
          version: `v${roll(3)}`,
          architecture: "arm64",
        }),
        asked(),
      );
    case 3:
      return requestPull(control, { image: { catalogId: "ubuntu" }, hostId: hostIds[roll(3)] ?? "", onFault: "fail" }, asked());
    default:
      return requestAction(control, await someMachine(roll), action(verbs[roll(verbs.length)] ?? "start", roll), asked());
  }
}

/** Some of what a workflow's activities do, in part or in whole, as far as the operation lets them. */
async function work(operation: Operation, roll: (n: number) => number): Promise<void> {
  const { id: operationId, verb, machineId } = operation;
  const { db, hubId, reserve, temporal } = hub.control;
  const placing = placementActivities({ db, hubId, reserve });
  if (verb === "provision") {
    const placement = await placing.placeMachine({ operationId, excluded: [] });
    if (roll(3) === 0) await placing.releasePlacement({ operationId, machineId: placement.machineId, epoch: placement.epoch });
    else if (roll(2) === 0) await made(operation, roll);
  } else if (verb === "retire" && machineId !== null) await retireActivities({ db }).recordRetired({ operationId, machineId });
  else if (verb !== "push" && verb !== "pull") {
    const observed = (["running", "stopped", "suspended"] as const)[roll(3)] ?? "stopped";
    const actions = actionActivities({ db, temporal });
    if (roll(3) === 0) await actions.releaseAction({ operationId });
    else await actions.recordAction({ operationId, effect: { observed } });
  }
}

async function made({ id: operationId }: Operation, roll: (n: number) => number): Promise<void> {
  const { db, hubId, reserve } = hub.control;
  const placing = placementActivities({ db, hubId, reserve });
  const placement = await placing.placeMachine({ operationId, excluded: [] });
  const files = { macAddress: null, bundlePath: `/${roll(100)}.pvm`, diskBytes: 1, addresses: [] };
  await placing.recordMachine({ operationId, placement, made: files });
}

async function end(operation: Operation, roll: (n: number) => number): Promise<void> {
  const { db, hubId, reserve } = hub.control;
  const wanted = (["done", "failed", "cancelled"] as const)[roll(3)] ?? "failed";
  const fault = faultRecord({ code: "internal", message: "It came to nothing." });
  // A machine that was retired meanwhile cannot be made any more.
  const refused = wanted === "done" && operation.verb === "provision" && (await made(operation, roll).then(() => false, refusal));
  const outcome = refused ? "failed" : wanted;
  const undone = operation.verb === "provision" && outcome !== "done" && roll(2) === 0 && operation.machineId !== null;
  if (undone)
    await placementActivities({ db, hubId, reserve }).forgetMachine({ operationId: operation.id, machineId: operation.machineId ?? "" });
  await settleOperation(db, { operationId: operation.id, steps: [], outcome, ...(outcome === "done" ? {} : { fault }) });
}

/** A refusal is fine anywhere; whatever else is thrown is a fault of ours. */
const allowed = (error: unknown) => {
  if (!(error instanceof FaultError)) throw error;
};

const refusal = (error: unknown) => {
  allowed(error);
  return true;
};

async function step(roll: (n: number) => number): Promise<void> {
  const open = await unsettledOperations(hub.control.db);
  const one = open[roll(Math.max(open.length, 1))];
  const kind = roll(10);
  if (kind < 5 || !one) return void (await request(roll));
  if (kind < 7) return work(one, roll).catch(allowed);
  if (kind < 9) return end(one, roll).catch(allowed);
  await cancelOperation(hub.control, one.id, asked());
}

/** Everything ends: what is open fails, what is left half made or standing is retired. */
async function endAll(roll: (n: number) => number): Promise<void> {
  const { control } = hub;
  for (const operation of await unsettledOperations(control.db)) await end(operation, roll).catch(allowed);
  await hub.sql`update machines set expires_at = now() where retired_at is null`;
  await hub.sql`update operations set ended_at = now() - interval '1 hour' where verb = 'retire'`;
  await retireDue(control);
  await startIntended(control);
  const retires = await unsettledOperations(control.db, { verb: "retire" });
  for (const operation of retires) {
    await work(operation, roll);
    await settleOperation(control.db, { operationId: operation.id, steps: [], outcome: "done" });
  }
}

/** What no moment may show: a right of an operation that has ended. */
async function overdue() {
  const [row] = await hub.sql`
    select (select count(*)::int from holds h join operations o on o.id = h.operation_id where o.ended_at is not null) as holds,
           (select count(*)::int from intents i join operations o on o.id = i.operation_id where o.ended_at is not null) as intents,
           (select count(*)::int from placements p join machines m on m.id = p.machine_id where m.retired_at is not null) as placements`;
  return { ...row };
}

async function left() {
  const counted = await hub.sql`
    select (select count(*)::int from holds) as holds, (select count(*)::int from placements) as placements,
           (select count(*)::int from intents) as intents, (select count(*)::int from operations where sealed is not null) as sealed,
           (select count(*)::int from machines where retired_at is null) as machines`;
  return { ...counted[0] };
}

describe("when everything has ended", () => {
  it("no hold, reservation, intent, sealed value or machine is left, and no two wait in a circle", async () => {
    const seed = randomInt(2 ** 31);
    const roll = dice(seed);
    await hub.control.db.update(hosts).set({ overcommitCpu: 10, overcommitMemory: 10 });
    // Three at once: what is asked together must not meet in the wrong order.
    for (let round = 0; round < 40; round++) {
      const outcomes = await Promise.allSettled([step(roll), step(roll), step(roll)]);
      const broken = outcomes.filter((outcome) => outcome.status === "rejected");
      expect(broken, `seed ${seed}, round ${round}`).toEqual([]);
      expect(await overdue(), `seed ${seed}, round ${round}`).toEqual({ holds: 0, intents: 0, placements: 0 });
    }
    await endAll(roll);
    expect(await left(), `seed ${seed}`).toEqual({ holds: 0, placements: 0, intents: 0, sealed: 0, machines: 0 });
  }, 180_000);
});
