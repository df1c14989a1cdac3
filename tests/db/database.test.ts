/** Guarantees of the tables: holds exclude, numbers have no gaps, ends are final, and the schema knows its own age. */
import { randomUUID } from "node:crypto";
import { eq, lt, sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { relay } from "../../control/relay.ts";
import { dropOldAudit, proveAudit, recordAudit } from "../../db/audit.ts";
import { inTransaction, openDatabase, type OpenDatabase } from "../../db/connect.ts";
import { listEvents, recordEvent } from "../../db/events.ts";
import { holdersOf, mustHold } from "../../db/holds.ts";
import { checkSchema, migrate } from "../../db/migrate.ts";
import { insertOperation } from "../../db/operations.ts";
import { audit, events, hub, operations } from "../../db/schema.ts";
import { settleOperation } from "../../db/settlement.ts";
import { listSteps, writeSteps } from "../../db/steps.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";

let open: OpenDatabase;
let url: string;
beforeAll(async () => {
  url = await createDatabase(inject("databaseUrl"));
  await Promise.all([migrate(url), migrate(url)]);
  open = openDatabase(url);
});
afterAll(() => open.close());

async function newOperation(): Promise<string> {
  const id = randomUUID();
  const about = {
    verb: "start",
    subject: "m",
    actor: "someone",
    actorId: "user-1",
    onFault: "park",
    workflowId: `start/m/${id}`,
    project: "default",
  } as const;
  await insertOperation(open.db, {
    id,
    ...about,
    hostId: null,
    machineId: null,
    image: null,
    input: {},
    sealed: new Uint8Array([1]),
    requestId: null,
  });
  return id;
}

describe("a hold", () => {
  it("is one operation's when fifty want it exclusively at once", async () => {
    const ids = await Promise.all(Array.from({ length: 50 }, newOperation));
    const subject = { kind: "machine", subjectId: randomUUID(), name: "m" } as const;
    const answers = await Promise.all(ids.map((id) => inTransaction(open.db, (tx) => mustHold(tx, subject, id, "exclusive"))));
    expect(answers.filter((answer) => answer.ok)).toHaveLength(1);
    const [holder] = await holdersOf(open.db, subject);
    for (const answer of answers)
      if (!answer.ok) expect(answer.fault).toMatchObject({ code: "machine_busy", details: { operationId: holder?.operationId } });
  });

  it("never lets a shared and an exclusive one in together", async () => {
    for (let round = 0; round < 20; round++) {
      const subject = { kind: "machine", subjectId: randomUUID(), name: "m" } as const;
      const ids = await Promise.all(Array.from({ length: 6 }, newOperation));
      await Promise.all(ids.map((id, n) => inTransaction(open.db, (tx) => mustHold(tx, subject, id, n % 2 ? "exclusive" : "shared"))));
      const modes = (await holdersOf(open.db, subject)).map(({ mode }) => mode);
      expect(modes.length).toBeGreaterThan(0);
      expect(modes.includes("exclusive") ? modes.length : 1).toBe(1);
    }
  });
});

describe("a settlement", () => {
  it("happens once: the second changes nothing, whatever it says", async () => {
    const operationId = await newOperation();
    await inTransaction(open.db, (tx) => mustHold(tx, { kind: "machine", subjectId: operationId, name: "m" }, operationId, "exclusive"));
    const steps = [{ name: "start", position: 0, state: "done" }] as const;
    expect(await settleOperation(open.db, { operationId, steps, outcome: "done", result: { a: 1 } })).toBe(true);
    const after = async () => [
      await open.db.select().from(operations).where(eq(operations.id, operationId)),
      await listSteps(open.db, operationId),
    ];
    const first = await after();
    expect(
      await settleOperation(open.db, { operationId, steps: [{ name: "late", position: 1, state: "failed" }], outcome: "failed" }),
    ).toBe(false);
    expect(await after()).toEqual(first);
    const [row] = await open.db.select().from(operations).where(eq(operations.id, operationId));
    expect(row).toMatchObject({ state: "done", result: { a: 1 }, sealed: null });
    expect(await holdersOf(open.db, { kind: "machine", subjectId: operationId })).toEqual([]);
    expect(await open.db.select().from(audit).where(eq(audit.operationId, operationId))).toHaveLength(1);
  });
});

describe("a step", () => {
  it("counts the attempts of its workflow and is not opened again by a late word", async () => {
    const operationId = await newOperation();
    const tell = (state: "running" | "parked" | "done" | "pending") =>
      writeSteps(open.db, operationId, [{ name: "upload", position: 0, state }]);
    for (const state of ["running", "running", "parked", "running", "done", "pending", "parked"] as const) await tell(state);
    const [step] = await listSteps(open.db, operationId);
    expect(step).toMatchObject({ state: "done", attempt: 2 });
  });

  it("is opened by an announcement at a later position, once, and stands there from then on", async () => {
    const operationId = await newOperation();
    const tell = (name: string, position: number, state: "running" | "done" | "pending") =>
      writeSteps(open.db, operationId, [{ name, position, state }]);
    await tell("start", 0, "running");
    for (const name of ["address", "answers"]) await tell(name, name === "address" ? 1 : 2, "pending");
    for (const state of ["running", "done"] as const) await tell("address", 1, state);
    const again = async () => {
      for (const [position, name] of ["address", "answers"].entries()) await tell(name, 4 + position, "pending");
    };
    await tell("start", 3, "running");
    await again();
    const placedAgain = [
      { name: "address", position: 4, state: "pending", attempt: 2 },
      { name: "answers", position: 5, state: "pending", attempt: 1 },
    ];
    expect((await listSteps(open.db, operationId)).slice(-2)).toMatchObject(placedAgain);
    await again();
    await tell("address", 1, "pending");
    expect((await listSteps(open.db, operationId)).slice(-2)).toMatchObject(placedAgain);
  });
});

describe("the relay", () => {
  it("numbers committed events without gaps and in each writer's order, while others write", async () => {
    const subjects = Array.from({ length: 8 }, () => randomUUID());
    let writing = true;
    const writers = Promise.all(
      subjects.map(async (subjectId, writer) => {
        for (let n = 0; n < 25; n++) {
          await open.db.transaction(async (tx) => {
            await recordEvent(tx, { type: "host", name: "host.test", subjectId, body: { n } });
            await recordAudit(tx, { actor: `writer ${writer}`, action: "test", subject: subjectId, outcome: "done" });
            // Transactions of different lengths commit in another order than they began.
            await tx.execute(sql`select pg_sleep(${Math.random() / 200})`);
          });
        }
      }),
    ).finally(() => (writing = false));
    const relaying = Promise.all(
      [1, 2].map(async () => {
        while (writing) await relay(open.db);
      }),
    );
    await Promise.all([writers, relaying]);
    await relay(open.db);
    const all = await listEvents(open.db, { after: 0, limit: 10_000 });
    expect(all.map(({ number }) => number)).toEqual(all.map((_, index) => index + 1));
    expect(all).toHaveLength((await open.db.select({ id: events.id }).from(events)).length);
    for (const subject of subjects) {
      const own = all.filter(({ subjectId }) => subjectId === subject).map(({ body }) => body["n"]);
      expect(own).toEqual(Array.from({ length: 25 }, (_, n) => n));
    }
    expect((await proveAudit(open.db)).broken).toBeNull();
  }, 180_000);

  const broken = async () => (await proveAudit(open.db)).broken;

  it("wakes listeners with the newest number", async () => {
    const heard = Promise.withResolvers<string>();
    const { unlisten } = await open.sql.listen("drover_events", heard.resolve);
    await recordEvent(open.db, { type: "host", name: "host.test", subjectId: "x" });
    await relay(open.db);
    const [last] = (await listEvents(open.db, { after: 0, limit: 10_000 })).slice(-1);
    expect(Number(await heard.promise)).toBe(last?.number);
    await unlisten();
  });

  it("drops old records of the audit and still proves the rest, and whether a record that somebody wrote down is there", async () => {
    await open.db.insert(hub).values({ id: randomUUID() });
    const record = (subject: string) => recordAudit(open.db, { actor: "a", action: "test.old", subject, outcome: "done" });
    for (const subject of ["old 1", "old 2", "new"]) await record(subject);
    await relay(open.db);
    const { last, lastHash } = await proveAudit(open.db);
    const known = { number: last ?? 0, hash: lastHash ?? "" };
    await open.db
      .update(audit)
      .set({ at: sql`now() - interval '2 days'` })
      .where(lt(audit.number, known.number));
    expect(await dropOldAudit(open.db, 86_400_000, 10_000)).toBe(false);
    expect(await proveAudit(open.db, known)).toEqual({ records: 1, first: last, last, lastHash, broken: null, known: true });
    expect(await proveAudit(open.db, { ...known, hash: "another" })).toMatchObject({ broken: null, known: false });
    await open.db.delete(audit).where(eq(audit.number, known.number));
    expect(await proveAudit(open.db, known)).toMatchObject({ records: 0, known: false });
    await record("newest");
    await relay(open.db);
    expect(await proveAudit(open.db, known)).toMatchObject({ records: 1, first: known.number, broken: null, known: false });
  });

  it("chains the audit so that an edited or a removed record shows", async () => {
    for (let n = 0; n < 5; n++) await recordAudit(open.db, { actor: "a", action: "test", subject: String(n), outcome: "done" });
    await relay(open.db);
    const [some] = await open.db.select().from(audit).where(eq(audit.subject, "2"));
    if (!some) throw new Error("the record is missing");
    await open.db.update(audit).set({ actor: "b" }).where(eq(audit.id, some.id));
    expect(await broken()).toBe(some.number);
    await open.db.update(audit).set({ actor: "a" }).where(eq(audit.id, some.id));
    expect(await broken()).toBeNull();
    await open.db.delete(audit).where(eq(audit.id, some.id));
    expect(await broken()).toBe(some.number);
  });
});

describe("the schema", () => {
  it("is brought up once by processes that start at the same moment on an empty database", async () => {
    const empty = await createDatabase(inject("databaseUrl"));
    await Promise.all([migrate(empty), migrate(empty), migrate(empty), migrate(empty)]);
    await checkSchema(empty);
    const { sql: query, close } = openDatabase(empty);
    const applied = await query`select hash from drizzle.__drizzle_migrations`;
    expect(new Set(applied.map(({ hash }) => hash)).size).toBe(applied.length);
    await close();
  });

  it("of a newer program is refused by name, and an older one is told apart", async () => {
    const other = await createDatabase(inject("databaseUrl"));
    await expect(checkSchema(other)).rejects.toMatchObject({ fault: { code: "schema_older" } });
    await migrate(other);
    await checkSchema(other);
    const { sql: query, close } = openDatabase(other);
    await query`insert into drizzle.__drizzle_migrations (hash, created_at) values ('later', ${Date.now() + 1e12})`;
    await close();
    await expect(migrate(other)).rejects.toMatchObject({ fault: { code: "schema_newer" } });
    await expect(checkSchema(other)).rejects.toMatchObject({ fault: { code: "schema_newer" } });
  });
});
