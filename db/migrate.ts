/**
 * Brings the schema to the one that this program was written for, and refuses a database that is ahead of it.
 *
 * The one idea: an advisory lock lets one process migrate while the others wait, and all of them then find the same schema.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate as applyMigrations } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";
import { z } from "zod";
import { FaultError } from "../domain/errors.ts";
import { defaultProject } from "../domain/access/rules.ts";

const migrationsFolder = fileURLToPath(new URL("./migrations", import.meta.url));
/** Any number that nobody else locks in this database. */
const migrationLock = 7_310_001;
const Journal = z.object({ entries: z.array(z.object({ when: z.number(), tag: z.string() })) });

/** Migrates, seeds the default project. Fails with `schema_newer` when a newer program was here before. */
export async function migrate(url: string): Promise<void> {
  await withConnection(url, async (sql) => {
    // A session lock: PostgreSQL drops it by itself when this process dies.
    await sql`select pg_advisory_lock(${migrationLock})`;
    await refuseNewer(sql);
    await applyMigrations(drizzle(sql), { migrationsFolder });
    await sql`insert into projects (id) values (${defaultProject}) on conflict do nothing`;
  });
}

/** For processes that leave migrating to another: says whether the schema is theirs. */
export async function checkSchema(url: string): Promise<void> {
  await withConnection(url, async (sql) => {
    await refuseNewer(sql);
    const [known, applied] = [await newestKnown(), await newestApplied(sql)];
    if (applied >= known.when) return;
    throw new FaultError({
      code: "schema_older",
      message: `The database is older than this program, which needs its migration ${known.tag}.`,
    });
  });
}

async function refuseNewer(sql: postgres.Sql): Promise<void> {
  const [known, applied] = [await newestKnown(), await newestApplied(sql)];
  if (applied <= known.when) return;
  throw new FaultError({ code: "schema_newer", message: `The database is newer than this program, whose last migration is ${known.tag}.` });
}

async function newestKnown(): Promise<{ when: number; tag: string }> {
  const { entries } = Journal.parse(JSON.parse(await readFile(`${migrationsFolder}/meta/_journal.json`, "utf8")));
  return entries.reduce((newest, entry) => (entry.when > newest.when ? entry : newest), { when: 0, tag: "none" });
}

/** The migrator notes each migration with the time at which it was written. */
async function newestApplied(sql: postgres.Sql): Promise<number> {
  const [table] = await sql`select to_regclass('drizzle.__drizzle_migrations') is not null as found`;
  if (table?.["found"] !== true) return 0;
  const [row] = await sql`select coalesce(max(created_at), 0) as newest from drizzle.__drizzle_migrations`;
  return Number(row?.["newest"] ?? 0);
}

async function withConnection(url: string, work: (sql: postgres.Sql) => Promise<void>): Promise<void> {
  // Ten seconds to connect: a database that is still starting is waited for by the supervisor, not here.
  const sql = postgres(url, { max: 1, connect_timeout: 10, onnotice: () => {} });
  try {
    await work(sql);
  } finally {
    await sql.end({ timeout: 2 });
  }
}
