/** Guarantees of holds: who has a machine or an image version, who pushes whom aside, and that one end is asked for once. */
import { randomUUID } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { requestPull, requestPush } from "../../control/catalog.ts";
import { requestAction } from "../../control/machines.ts";
import { requestRetire } from "../../control/retire.ts";
import { imageSubject } from "../../db/holds.ts";
import { intents, audit } from "../../db/schema.ts";
import { deleteVersion, findImageById } from "../../db/images.ts";
import { retireRow } from "../../db/machines.ts";
import { readOperation } from "../../db/operations.ts";
import { settleOperation } from "../../db/settlement.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import type { Result } from "../../domain/errors.ts";
import { unwrap } from "../../domain/errors.ts";
import { action, addHost, addImage, asked, codeOf, openStocked, standing, type Hub } from "../control/hub.ts";

let hub: Hub;
let storeId: string;
beforeAll(async () => {
  ({ hub, storeId } = await openStocked());
});
afterAll(() => hub.close());

const act = (machineId: string, wanted: object) => requestAction(hub.control, machineId, action(wanted), asked());
const retire = (machineId: string, force = false, more = {}) => requestRetire(hub.control, machineId, { force }, asked(more));
const ids = (answers: readonly Result<{ id: string }>[]) => new Set(answers.map((answer) => unwrap(answer).id));
const times = (count: number, ask: () => Promise<Result<{ id: string }>>) => Promise.all(Array.from({ length: count }, ask));
const settle = (operationId: string, outcome: "done" | "failed" | "cancelled" = "done") =>
  settleOperation(hub.control.db, { operationId, steps: [], outcome });

const changing = ["stop", "restart", "suspend", "pause", "reset", "configure", "snapshot-create", "snapshot-revert", "snapshot-delete"];
const words = { configure: { vcpus: 1 }, "snapshot-create": { name: "s" } };
const wanted = (verb: string) => ({ verb, snapshotId: randomUUID(), ...words[verb as keyof typeof words] });

describe("a machine that is held", () => {
  it.each(changing)("by %s is busy for every other change and for readers, by name, verb, id and actor", async (verb) => {
    const { machineId, name } = await standing(hub, "running");
    const first = unwrap(await act(machineId, wanted(verb)));
    for (const other of [wanted("restart"), { verb: "execute", script: "true" }, { verb: "capture" }]) {
      const refused = await act(machineId, other);
      expect(refused).toMatchObject({ fault: { code: "machine_busy", details: { operationId: first.id, verb, actor: "someone" } } });
      expect(refused.ok ? "" : refused.fault.message).toMatch(
        new RegExp(`^${name} is held by the ${verb} operation ${first.id} of someone`),
      );
    }
  });

  it("by readers is shared with readers, and busy for changes", async () => {
    const { machineId } = await standing(hub, "running");
    const reading = [
      { verb: "execute", script: "true" },
      { verb: "capture" },
      { verb: "execute", script: "true" },
      { verb: "snapshot-list" },
    ];
    for (const reader of reading) expect(codeOf(await act(machineId, reader))).toBe("ok");
    expect(codeOf(await act(machineId, { verb: "suspend" }))).toBe("machine_busy");
  });

  it("is free again when its holder has ended, however it ended", async () => {
    const { machineId } = await standing(hub, "running");
    for (const outcome of ["done", "failed", "cancelled"] as const) {
      const { id } = unwrap(await act(machineId, { verb: "configure", vcpus: 1 }));
      expect(codeOf(await act(machineId, { verb: "restart" }))).toBe("machine_busy");
      await settle(id, outcome);
    }
    expect(codeOf(await act(machineId, { verb: "restart" }))).toBe("ok");
  });

  it("is taken by a forced stop, beside which nothing else begins: not even another one", async () => {
    const { machineId } = await standing(hub, "running");
    const holder = unwrap(await act(machineId, { verb: "suspend" }));
    const answers = await Promise.all([1, 2, 3].map(() => act(machineId, { verb: "stop", mode: "kill" })));
    expect(answers.map(codeOf).toSorted((a, b) => a.localeCompare(b))).toEqual(["machine_busy", "machine_busy", "ok"]);
    await settle(holder.id, "cancelled");
    for (const late of [{ verb: "restart" }, { verb: "execute", script: "true" }])
      expect(codeOf(await act(machineId, late))).toBe("machine_busy");
    expect(codeOf(await retire(machineId))).toBe("ok");
  });
});

describe("an end that is asked for again", () => {
  it("is the first one: twenty at once, while it runs, while it is parked, and when it has just ended", async () => {
    const { db } = hub.control;
    const { machineId } = await standing(hub, "running");
    const [first, ...others] = ids(await times(20, () => retire(machineId)));
    expect(others).toEqual([]);
    await hub.sql`update operations set state = 'parked' where id = ${first ?? ""}`;
    expect([...ids(await times(3, () => retire(machineId)))]).toEqual([first]);
    await retireRow(db, machineId, "machine.retired");
    expect([...ids(await times(3, () => retire(machineId)))]).toEqual([first]);
    await settle(first ?? "");
    expect([...ids(await times(3, () => retire(machineId, true)))]).toEqual([first]);
  });

  it("is the first one for the same Idempotency-Key too", async () => {
    const { machineId } = await standing(hub);
    const first = unwrap(await retire(machineId));
    const idempotency = { key: randomUUID(), route: "DELETE /machines", body: { force: false } };
    for (let again = 0; again < 2; again++) expect(unwrap(await retire(machineId, false, { idempotency })).id).toBe(first.id);
  });

  it("takes the guest's time away when it comes with force, once, and the record says so", async () => {
    const { db, temporal } = hub.control;
    const { machineId } = await standing(hub, "running");
    const first = unwrap(await retire(machineId));
    const hurries = async () => {
      const { events } = await temporal.workflow.getHandle(first.workflowId).fetchHistory();
      return events?.filter(({ workflowExecutionSignaledEventAttributes: signal }) => signal?.signalName === "hurry").length;
    };
    expect([...ids(await times(5, () => retire(machineId)))]).toEqual([first.id]);
    expect(await hurries()).toBe(0);
    expect([...ids(await times(5, () => retire(machineId, true)))]).toEqual([first.id]);
    expect(await hurries()).toBe(1);
    expect(unwrap(await readOperation(db, first.id)).input["force"]).toBe(true);
    const told = await db.select().from(audit).where(eq(audit.operationId, first.id));
    expect(told.map((record) => record.action).filter((name) => name === "retire.hurry")).toHaveLength(1);
  });

  it("begins as a forced one where its workflow was still to start", async () => {
    const { db } = hub.control;
    const { machineId } = await standing(hub, "running");
    // Nobody reaches Temporal: the intent waits for the sweep.
    const away = {
      ...hub.control,
      temporal: { withDeadline: () => Promise.reject(new Error("away")), workflow: hub.control.temporal.workflow },
    };
    const control = away as unknown as typeof hub.control;
    const first = unwrap(await requestRetire(control, machineId, { force: false }, asked()));
    await requestRetire(control, machineId, { force: true }, asked());
    const [intent] = await db.select().from(intents).where(eq(intents.operationId, first.id));
    expect(intent?.workflowInput).toMatchObject({ graceMs: 0 });
  });
});

describe("a machine that linked clones stand on", () => {
  it("is not retired before they are, and names them", async () => {
    const { machineId, name } = await standing(hub);
    const clone = unwrap(await act(machineId, { verb: "clone", name: `${name}-linked`, linked: true }));
    await settle(clone.id);
    const refused = await retire(machineId, true);
    expect(refused).toMatchObject({ fault: { code: "machine_cloned", details: { clones: [`${name}-linked`] } } });
    const { before } = unwrap(await readOperation(hub.control.db, clone.id)).input as { before: { cloneId: string } };
    expect(codeOf(await act(before.cloneId, { verb: "clone", name: `${name}-full` }))).toBe("machine_linked");
    await retireRow(hub.control.db, before.cloneId, "machine.retired");
    expect(codeOf(await retire(machineId))).toBe("ok");
  });
});

describe("an image version", () => {
  const pushOf = (hostId: string, more = {}) =>
    NewImageVersion.parse({ path: "/a.pvm", hostId, catalogId: `i-${hostId}`, version: "1", architecture: "arm64", ...more });

  it("is pushed by one at a time, and the other is told by whom", async () => {
    const hostId = await addHost(hub);
    const answers = await Promise.all([1, 2, 3].map(() => requestPush(hub.control, pushOf(hostId), asked())));
    expect(answers.map(codeOf).toSorted((a, b) => a.localeCompare(b))).toEqual(["image_busy", "image_busy", "ok"]);
    const [winner] = answers.flatMap((answer) => (answer.ok ? [answer.value] : []));
    const refused = answers.find((answer) => !answer.ok);
    expect(refused).toMatchObject({ fault: { details: { operationId: winner?.id, verb: "push", actor: "someone" } } });
    await settle(winner?.id ?? "", "failed");
    expect(codeOf(await requestPush(hub.control, pushOf(hostId), asked()))).toBe("ok");
  });

  it("cannot be deleted while a push replaces it, and can while it is pulled", async () => {
    const { db } = hub.control;
    const hostId = await addHost(hub);
    const image = unwrap(await findImageById(db, await addImage(hub, storeId, `i-${hostId}`)));
    unwrap(await requestPull(hub.control, { image: { catalogId: image.catalogId }, hostId, onFault: "fail" }, asked()));
    const push = unwrap(await requestPush(hub.control, pushOf(hostId, { replace: true }), asked()));
    const remove = () => db.transaction((tx) => deleteVersion(tx, image));
    await expect(remove()).rejects.toMatchObject({ fault: { code: "image_busy", details: { operationId: push.id } } });
    await settle(push.id, "cancelled");
    expect(await remove()).toBe(true);
    expect(imageSubject("default", "a/1/arm64").subjectId).toBe("default/a/1/arm64");
  });
});
