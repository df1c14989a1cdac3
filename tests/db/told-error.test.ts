/** An error of the database is logged without what its query was given. */
import { Writable } from "node:stream";
import { sql } from "drizzle-orm";
import { pino } from "pino";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { openDatabase, type OpenDatabase } from "../../db/connect.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";
import { serializers } from "../../workers/log.ts";

let open: OpenDatabase;
beforeAll(async () => {
  open = openDatabase(await createDatabase(inject("databaseUrl")));
});
afterAll(() => open.close());

it("tells what failed and nothing of the values", async () => {
  let told = "";
  const log = pino({ serializers }, new Writable({ write: (chunk, _encoding, done) => ((told += String(chunk)), done()) }));
  const failed = await open.db.execute(sql`select ${"hush-hush"}::text from nowhere`).catch((error: unknown) => error);
  log.error({ err: failed }, "failed");
  log.error({ error: new Error("outer", { cause: failed }) }, "failed");
  expect(told).toContain("nowhere");
  expect(told).not.toContain("hush-hush");
});
