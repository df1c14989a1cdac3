/** Machines that PostgreSQL writes as JSON: the same words as ever, and no slower when there are many. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import type postgres from "postgres";
import { findMachine, insertMachine, listMachines, updateMachine, type NewMachineRow } from "../../db/machines.ts";
import { machineReads } from "../../db/machine-pages.ts";
import { listOperations } from "../../db/operations.ts";
import { unwrap } from "../../domain/errors.ts";
import { openHub, type Hub } from "../control/hub.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await openHub();
});
afterAll(() => hub.close());

const parsed = (json: string | Uint8Array = "null"): unknown => JSON.parse(Buffer.from(json).toString());
const reader = { userId: "someone", project: "default", roles: [], claims: [], isSuperUser: false };
const row = (name: string): NewMachineRow => ({
  ...({ id: randomUUID(), project: "default", name, owner: "someone", origin: "image", kind: "pvm", guestOs: "ubuntu" } as const),
  ...({ desired: "running", observed: "running", vcpus: 2, memoryBytes: 2 ** 33, diskBytes: 2 ** 40, image: "ubuntu/1/arm64" } as const),
  labels: { team: 'a "quoted" one', ü: "é\n" },
  addresses: ["10.0.0.1", "fe80::1"],
  ttlSeconds: 3600,
});

/** The database, with every statement noted. */
const spying = (texts: string[], asked: postgres.ParameterOrJSON<never>[][] = []) =>
  new Proxy(hub.sql, {
    get: (sql, name) =>
      name === "unsafe"
        ? (text: string, params: postgres.ParameterOrJSON<never>[], options: object) => {
            texts.push(text);
            asked.push(params);
            return sql.unsafe(text, params, options);
          }
        : Reflect.get(sql, name),
  });

it("says of a machine exactly what the vocabulary says of it", async () => {
  const { db } = hub.control;
  const { id } = await insertMachine(db, row("Straße 1"));
  await updateMachine(db, id, { observedAt: new Date("2026-02-03T04:05:06.078Z"), drift: [], requiredRoles: [], bundlePath: "/a/b.pvm" });
  const machine = unwrap(await findMachine(db, id));
  const reads = machineReads(hub.sql);
  for (const word of [id, id.toUpperCase(), "straße 1", "STRAßE 1"])
    expect(parsed((await reads.one(word, reader))?.json), word).toEqual(JSON.parse(JSON.stringify(machine)));
  expect(await reads.one(id, { ...reader, project: "other" })).toBeNull();
  expect(await reads.one("nothing", reader)).toBeNull();
});

it("cuts pages where the other list cuts them, to the last", async () => {
  const { db } = hub.control;
  for (let n = 0; n < 7; n++) await insertMachine(db, row(`page-${n}`));
  const reads = machineReads(hub.sql);
  let cursor: string | undefined;
  do {
    const ask = { limit: 3, cursor };
    const page = await listMachines(db, { reader }, ask);
    const written = await reads.page({ reader }, ask);
    expect(parsed(written.json)).toEqual(JSON.parse(JSON.stringify(page)));
    expect(await reads.pageVersion({ reader }, ask)).toBe(written.version);
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  await expect(reads.page({ reader }, { limit: 3, cursor: "garbage" })).rejects.toMatchObject({ fault: { code: "invalid_request" } });
});

it("answers a page, and a machine, again only as long as it is true: not before a change is committed, and not after", async () => {
  const { db } = hub.control;
  const { id } = await insertMachine(db, row("again"));
  const sent: string[] = [];
  const reads = machineReads(spying(sent));
  const ask = { limit: 5 };
  const fresh = () => machineReads(hub.sql).page({ reader }, ask);
  const again = async () => {
    // The second reading sees that all is quiet, the third one relies on it.
    for (let n = 0; n < 3; n++) expect((await reads.one(id, reader))?.json).toBe((await machineReads(hub.sql).one(id, reader))?.json);
    const begun = sent.length;
    const [page, version, now] = [await reads.page({ reader }, ask), await reads.pageVersion({ reader }, ask), await fresh()];
    expect(parsed(page.json)).toEqual(parsed(now.json));
    expect([page.version, version]).toEqual([now.version, now.version]);
    return sent.slice(begun).some((text) => text.includes("row_to_json"));
  };
  expect([await again(), await again()]).toEqual([true, false]);
  await hub.sql
    .begin(async (tx) => {
      await tx`update machines set description = 'not yet' where id = ${id}`;
      expect(await again()).toBe(false);
      throw new Error("taken back");
    })
    .catch(() => undefined);
  expect(await again()).toBe(false);
  await hub.sql.begin(async (tx) => {
    await tx`update machines set description = 'now' where id = ${id}`;
    expect(await again()).toBe(false);
  });
  expect([await again(), await again()]).toEqual([true, false]);
  // What others do moves the moment, and not the page.
  await hub.sql`update hub set created_at = created_at`;
  expect(await again()).toBe(false);
  await insertMachine(db, row("again, newer"));
  expect(await again()).toBe(true);
  await updateMachine(db, id, { retiredAt: new Date() });
  expect(await again()).toBe(true);
});

it("asks only whether anything was committed, where a machine was read a moment ago, and of nobody else's machine either", async () => {
  const { id } = await insertMachine(hub.control.db, row("asked again"));
  const sent: string[] = [];
  const reads = machineReads(spying(sent));
  const reading = () => sent.splice(0).map((text) => text.includes("row_to_json"));
  for (let n = 0; n < 2; n++) await reads.one(id, reader);
  expect(reading()).toEqual([true, true]);
  // Another suite may commit something on the same server at any time.
  do expect(await reads.one(id, reader)).not.toBeNull();
  while (reading().includes(true));
  expect(await reads.one(id, { ...reader, project: "other" })).toBeNull();
});

it("reads no more than the page, however many machines and operations there are", async () => {
  const { db } = hub.control;
  await hub.sql`
    insert into machines (id, project, name, owner, origin, kind, desired, observed, vcpus, memory_bytes, disk_bytes, created_at)
    select gen_random_uuid(), 'default', 'many-' || n, 'someone', 'image', 'pvm', 'stopped', 'stopped', 1, 1024, 1024, now() - make_interval(secs => n)
    from generate_series(1, 10000) n`;
  await hub.sql`
    insert into operations (id, project, verb, state, subject, actor, actor_id, on_fault, workflow_id, input, created_at)
    select gen_random_uuid(), 'default', 'start', 'done', 'many-' || n, 'someone', 'someone', 'fail', 'many/' || n, '{}', now() - make_interval(secs => n)
    from generate_series(1, 10000) n`;
  await hub.sql`analyze machines, operations`;

  const texts: string[] = [];
  const asked: postgres.ParameterOrJSON<never>[][] = [];
  const reads = machineReads(spying(texts, asked));
  const first = await reads.page({ reader }, { limit: 100 });
  const { nextCursor } = parsed(first.json) as { nextCursor: string };
  await reads.page({ reader }, { limit: 100, cursor: nextCursor });
  await reads.pageVersion({ reader }, { limit: 100 });
  await reads.one("many-5000", reader);
  for (const [at, text] of texts.entries()) {
    const [plan] = await hub.sql.unsafe<{ "QUERY PLAN": unknown }[]>(`explain (analyze, format json) ${text}`, asked[at]);
    const told = JSON.stringify(plan?.["QUERY PLAN"]);
    expect(told).not.toContain("Seq Scan");
    expect(Math.max(...[...told.matchAll(/"Actual Rows":\s*([\d.]+)/g)].map(([, rows]) => Number(rows)))).toBeLessThan(500);
  }
  const page = await listOperations(db, { project: "default" }, { limit: 100 });
  expect(page.items).toHaveLength(100);
  const [plan] =
    await hub.sql`explain (format json) select * from operations where project = 'default' order by created_at desc, id desc limit 101`;
  expect(JSON.stringify(plan)).not.toContain("Seq Scan");
});
