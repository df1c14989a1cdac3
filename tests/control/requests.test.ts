/** Guarantees of requests: what is asked at once by many is done once, and no host is given away twice. */
import { randomUUID } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cancelOperation } from "../../control/cancel.ts";
import { requestPull, requestPush } from "../../control/catalog.ts";
import { requestAction, requestMachine } from "../../control/machines.ts";
import { requestRetire } from "../../control/retire.ts";
import { findHost } from "../../db/hosts.ts";
import { takeInventory } from "../../db/inventories.ts";
import { findMachine } from "../../db/machines.ts";
import { listOperations } from "../../db/operations.ts";
import { lockSupplies } from "../../db/placements.ts";
import { operations, placements } from "../../db/schema.ts";
import { settleOperation } from "../../db/settlement.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import type { NewMachine } from "../../domain/machines/schema.ts";
import { action, addHost, addImage, asked, codeOf, newMachine, openStocked, someone, standing, type Hub } from "./hub.ts";

let hub: Hub;
let storeId: string;
beforeAll(async () => {
  ({ hub, storeId } = await openStocked());
});
afterAll(() => hub.close());

describe("a request with an Idempotency-Key", () => {
  it("makes one operation when fifty come at once", async () => {
    const wanted = newMachine();
    const idempotency = { key: randomUUID(), route: "POST /machines", body: wanted };
    const answers = await Promise.all(Array.from({ length: 50 }, () => requestMachine(hub.control, wanted, asked({ idempotency }))));
    const ids = new Set(answers.map((answer) => unwrap(answer).operation.id));
    expect(ids.size).toBe(1);
    expect(new Set(answers.map((answer) => unwrap(answer).machine.id)).size).toBe(1);
    const made = await hub.control.db.select().from(operations).where(eq(operations.subject, wanted.name));
    expect(made).toHaveLength(1);
  });

  it("refuses the same key with another body", async () => {
    const key = randomUUID();
    const send = (wanted: NewMachine) =>
      requestMachine(hub.control, wanted, asked({ idempotency: { key, route: "POST /machines", body: wanted } }));
    unwrap(await send(newMachine()));
    expect(codeOf(await send(newMachine()))).toBe("idempotency_conflict");
  });
});

describe("a host's report", () => {
  it("and a request for the same machine wait for each other in one order", async () => {
    const { db, hubId, reserve } = hub.control;
    const { machineId, hostId, name } = await standing(hub);
    const session = randomUUID();
    const reported = { id: machineId, name, state: "running", kind: "pvm", guestOs: null, vcpus: 2, memoryBytes: 1, diskBytes: 1 } as const;
    const rest = { macAddress: null, addresses: [], bundlePath: null, tools: null, mark: null, raw: {} };
    const { facts } = unwrap(await findHost(db, hostId));
    if (!facts) throw new Error("The host has no facts.");
    const line = {
      kind: "inventory",
      sequence: 1,
      session,
      bootId: "b",
      at: "",
      // Gathered after whatever was done before.
      after: new Date(Date.now() + 1_000).toISOString(),
      facts,
      machines: [{ ...reported, ...rest }],
      cached: [],
    } as const;
    const report = { ...line, machines: [...line.machines], cached: [] };
    let inventory: Promise<unknown> = Promise.resolve();
    await db.transaction(async (tx) => {
      await findMachine(tx, machineId, { lock: true });
      inventory = takeInventory(db, { hostId, hubId, sessionSilentMs: 7_000 }, report);
      await expect
        .poll(
          async () =>
            (await hub.sql`select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`).length,
        )
        .toBe(1);
      await lockSupplies(tx, reserve, [hostId]);
    });
    await inventory;
    expect(unwrap(await findMachine(db, machineId)).observed).toBe("running");
  });
});

describe("a machine", () => {
  it("is not made under the name of a living one, in any case", async () => {
    const { machine } = unwrap(await requestMachine(hub.control, newMachine(), asked()));
    expect(codeOf(await requestMachine(hub.control, newMachine({ name: machine.name.toUpperCase() }), asked()))).toBe("machine_exists");
  });

  it("takes one of two exclusive actions and names it to the other", async () => {
    const { machineId } = await standing(hub);
    const answers = await Promise.all([1, 2].map(() => requestAction(hub.control, machineId, action({ verb: "start" }), asked())));
    expect(answers.map(codeOf).toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual(["machine_busy", "ok"]);
    const [winner] = answers.flatMap((answer) => (answer.ok ? [answer.value.id] : []));
    const [loser] = answers.flatMap((answer) => (answer.ok ? [] : [answer.fault]));
    expect(loser?.details?.["operationId"]).toBe(winner);
  });

  it("keeps a script out of everything that is not sealed", async () => {
    const { machineId } = await standing(hub, "running");
    const script = `echo ${randomUUID()}`;
    const operation = unwrap(
      await requestAction(hub.control, machineId, action({ verb: "execute", script, environment: { PASSWORD: script } }), asked()),
    );
    const tables = ["operations", "events", "audit", "intents"];
    const rows = await Promise.all(tables.map((table) => hub.sql.unsafe(`select * from ${table}`)));
    expect(JSON.stringify(rows)).not.toContain(script);
    const { events } = await hub.control.temporal.workflow.getHandle(operation.workflowId).fetchHistory();
    const payloads = await hub.codec.decode(events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? []);
    const input = payloads.map(({ data }) => Buffer.from(data ?? []).toString()).join();
    expect(input).toContain(machineId);
    expect(input).not.toContain(script);
    const [row] = await hub.control.db.select().from(operations).where(eq(operations.id, operation.id));
    expect(await hub.control.sealer.open(row?.sealed ?? new Uint8Array(), `operation:${operation.id}`)).toMatchObject({ script });
  });

  it("is as before when its start comes to nothing", async () => {
    const { machineId } = await standing(hub);
    const operation = unwrap(await requestAction(hub.control, machineId, action({ verb: "start" }), asked()));
    expect(unwrap(await findMachine(hub.control.db, machineId)).desired).toBe("running");
    await settleOperation(hub.control.db, { operationId: operation.id, steps: [], outcome: "failed" });
    const [placement] = await hub.control.db.select().from(placements).where(eq(placements.machineId, machineId));
    expect(placement?.runs).toBe(false);
    expect(unwrap(await findMachine(hub.control.db, machineId)).observed).toBe("stopped");
  });

  it("has its old name again when its renaming fails, unless that was taken meanwhile", async () => {
    const { db } = hub.control;
    const [one, two] = [await standing(hub), await standing(hub)];
    const rename = async (id: string, name: string) =>
      unwrap(await requestAction(hub.control, id, action({ verb: "rename", name }), asked())).id;
    const fail = (operationId: string) => settleOperation(db, { operationId, steps: [], outcome: "failed" });
    await fail(await rename(one.machineId, `${one.name}-new`));
    expect(unwrap(await findMachine(db, one.machineId)).name).toBe(one.name);
    const first = await rename(one.machineId, `${one.name}-new`);
    await rename(two.machineId, one.name);
    expect(await fail(first)).toBe(true);
    expect(unwrap(await findMachine(db, one.machineId)).name).toBe(`${one.name}-new`);
  });

  it("frees the name of a clone that never came to be", async () => {
    const { machineId, name } = await standing(hub);
    const operation = unwrap(await requestAction(hub.control, machineId, action({ verb: "clone", name: `${name}-copy` }), asked()));
    expect(unwrap(await findMachine(hub.control.db, `${name}-copy`)).observed).toBe("making");
    await settleOperation(hub.control.db, { operationId: operation.id, steps: [], outcome: "cancelled" });
    expect(codeOf(await findMachine(hub.control.db, `${name}-copy`))).toBe("machine_not_found");
  });

  it("is retired once, however often it is asked, and pushes aside who holds it", async () => {
    const { machineId } = await standing(hub);
    unwrap(await requestAction(hub.control, machineId, action({ verb: "start" }), asked()));
    const answers = await Promise.all(Array.from({ length: 5 }, () => requestRetire(hub.control, machineId, { force: true }, asked())));
    expect(new Set(answers.map((answer) => unwrap(answer).id)).size).toBe(1);
    expect(codeOf(await requestAction(hub.control, machineId, action({ verb: "stop", mode: "kill" }), asked()))).toBe("machine_busy");
  });

  it("that nobody knows cannot be retired", async () => {
    expect(codeOf(await requestRetire(hub.control, randomUUID(), { force: false }, asked()))).toBe("machine_not_found");
  });
});

describe("an image", () => {
  it("that the caller may not see is not there for a pull, and a tainted one says who tainted it", async () => {
    const hostId = await addHost(hub);
    await addImage(hub, storeId, "hidden", { requiredRoles: ["ADMIN"] });
    await addImage(hub, storeId, "tainted", { taintedBy: "carol", taintedAt: new Date() });
    const pulled = (catalogId: string) => requestPull(hub.control, { image: { catalogId }, hostId, onFault: "fail" }, asked());
    expect(codeOf(await pulled("hidden"))).toBe("image_not_found");
    const refused = await pulled("tainted");
    expect(codeOf(refused)).toBe("image_tainted");
    expect(refused.ok ? "" : refused.fault.message).toContain("carol");
  });

  it("takes one of two pushes of one version", async () => {
    const hostId = await addHost(hub);
    const wanted = NewImageVersion.parse({ path: "/machines/a.pvm", hostId, catalogId: "pushed", architecture: "arm64" });
    const answers = await Promise.all([1, 2].map(() => requestPush(hub.control, wanted, asked())));
    expect(answers.map(codeOf).toSorted((a, b) => String(a).localeCompare(String(b)))).toEqual(["image_busy", "ok"]);
  });

  it("of several architectures is chosen by its host's, else the caller has to say", async () => {
    await addImage(hub, storeId, "both");
    await addImage(hub, storeId, "both", { architecture: "x86_64" });
    expect(codeOf(await requestMachine(hub.control, newMachine({ image: { catalogId: "both" } }), asked()))).toBe("invalid_request");
    const hostId = await addHost(hub);
    const { operation } = unwrap(await requestMachine(hub.control, newMachine({ image: { catalogId: "both" }, hostId }), asked()));
    expect(operation.image).toBe("both/1/arm64");
  });
});

describe("a cancel", () => {
  it("marks the operation at once and is refused when it has ended", async () => {
    const { operation } = unwrap(await requestMachine(hub.control, newMachine(), asked()));
    expect(unwrap(await cancelOperation(hub.control, operation.id, asked())).state).toBe("cancelling");
    expect(unwrap(await cancelOperation(hub.control, operation.id, asked())).state).toBe("cancelling");
    await settleOperation(hub.control.db, { operationId: operation.id, steps: [], outcome: "cancelled" });
    expect(codeOf(await cancelOperation(hub.control, operation.id, asked()))).toBe("operation_settled");
  });
});

describe("a list", () => {
  it("pages through all operations once, newest first", async () => {
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await listOperations(hub.control.db, { project: someone.project }, { cursor, limit: 7 });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    const all = await hub.control.db.select({ id: operations.id }).from(operations);
    expect(seen).toHaveLength(all.length);
    expect(new Set(seen).size).toBe(all.length);
  });
});
