/**
 * A database as it was, put in the place of what it is now: a copy made by PostgreSQL itself, while nobody is let in.
 *
 * The one idea: the hub's processes are not told. They lose their connections and find another truth when they are let in again.
 */
import postgres from "postgres";

/** Copies the database aside; `restore` puts the copy in its place, changed by `change` first. */
export async function keepDatabase(url: string): Promise<{ restore(change: string): Promise<void> }> {
  const name = new URL(url).pathname.slice(1);
  const kept = `${name}_kept`;
  await alone(url, name, (admin) => admin`create database ${admin(kept)} template ${admin(name)}`);
  return {
    restore: async (change) => {
      const copy = new URL(url);
      copy.pathname = `/${kept}`;
      const sql = postgres(copy.href, { max: 1, onnotice: () => {} });
      await sql.unsafe(change).finally(() => sql.end());
      await alone(url, name, async (admin) => {
        await admin`drop database ${admin(name)}`;
        await admin`alter database ${admin(kept)} rename to ${admin(name)}`;
      });
    },
  };
}

/** Runs while the database lets nobody in. */
async function alone(url: string, name: string, work: (admin: postgres.Sql) => Promise<unknown>): Promise<void> {
  const place = new URL(url);
  place.pathname = "/postgres";
  const admin = postgres(place.href, { max: 1, onnotice: () => {} });
  try {
    await admin`alter database ${admin(name)} with allow_connections false`;
    await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`;
    await ended(admin, name);
    await work(admin);
    await admin`alter database ${admin(name)} with allow_connections true`;
  } finally {
    await admin.end();
  }
}

async function ended(admin: postgres.Sql, name: string): Promise<void> {
  for (;;) {
    const [row] = await admin`select count(*)::int as count from pg_stat_activity where datname = ${name}`;
    if (row?.["count"] === 0) return;
  }
}
