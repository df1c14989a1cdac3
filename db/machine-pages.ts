/**
 * Machines as their readers get them: JSON that PostgreSQL writes, with a mark of which version of the rows it shows.
 *
 * The one idea: what a row says is turned into JSON once, where it lies. The mark is made of the rows' own versions (`xmin`, which every change
 * of a row moves), so whether anything has changed is told without writing, or comparing, a page of megabytes.
 */
import { getTableColumns, sql, type SQL } from "drizzle-orm";
import { PgDialect, PgTimestamp } from "drizzle-orm/pg-core";
import type postgres from "postgres";
import type { Reader } from "../domain/access/rules.ts";
import { Uuid } from "../domain/ids.ts";
import { mayReach } from "../domain/machines/rules.ts";
import { Machine } from "../domain/machines/schema.ts";
import { wantedMachines, type MachineFilter } from "./machines.ts";
import { cursorAt, newestFirst, placeOf, type PageAsk } from "./pages.ts";
import { machines } from "./schema.ts";
import { together } from "./together.ts";

/** JSON, and what tells it from every other version of itself. */
export interface Written {
  /** Bytes where it is long and several may be answered with it. */
  readonly json: string | Uint8Array<ArrayBuffer>;
  readonly version: string;
}

export interface MachineReads {
  /** A living machine by id or, in any case, by name, as its reader may see it. */
  one(idOrName: string, reader: Reader): Promise<Written | null>;
  page(filter: MachineFilter, ask: PageAsk): Promise<Written>;
  /** What `page` would answer as its version. */
  pageVersion(filter: MachineFilter, ask: PageAsk): Promise<string>;
}

const dialect = new PgDialect();
const columns = getTableColumns(machines);
/** Milliseconds of UTC, as JSON has dates. */
const isoOf = (column: SQL) => sql`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const shown = sql.join(
  Object.keys(Machine.shape).map((name) => {
    const column = columns[name as keyof typeof columns];
    return sql`${column instanceof PgTimestamp ? isoOf(sql`${column}`) : column} as ${sql.identifier(name)}`;
  }),
  sql`, `,
);
const written = sql`(select row_to_json(shown)::text from (select ${shown}) shown)`;
const version = sql`${machines}.xmin::text`;

export function machineReads(client: postgres.Sql): MachineReads {
  /** Prepared once per connection, which a page of 100 machines notices and a single one more so. */
  const run = <Row>(query: SQL): Promise<Row[]> => {
    const { sql: text, params } = dialect.sqlToQuery(query);
    return client.unsafe<Row[] & postgres.Row[]>(text, params as postgres.ParameterOrJSON<never>[], { prepare: true });
  };
  const named = (text: string) =>
    together(async (words) => {
      const rows = await client.unsafe<Found[]>(text, [[...words]], { prepare: true });
      return new Map(rows.map((row) => [row.word, row]));
    });
  const byId = named(namedBy(sql`unnest(${sql.param([])}::uuid[]) asked(word) on ${machines.id} = asked.word`));
  const byName = named(namedBy(sql`unnest(${sql.param([])}::text[]) asked(word) on lower(${machines.name}) = lower(asked.word)`));
  const pages = together(async (keys) => new Map(await Promise.all(keys.map(async (key) => [key, await page(run, key)] as const))));
  return {
    one: async (idOrName, reader) => {
      const id = Uuid.safeParse(idOrName);
      const row = await (id.success ? byId(id.data) : byName(idOrName));
      return row && mayReach(row, reader) ? row : null;
    },
    page: async (filter, ask) => {
      // A cursor that is none is refused to whoever sent it alone.
      wantedMachines(filter, ask.cursor);
      return (await pages(JSON.stringify([filterKey(filter), ask]))) ?? empty;
    },
    pageVersion: async (filter, ask) => {
      const [row] = await run<{ version: string | null }>(sql`select ${versionOf} as version from (${rowsOf(filter, ask)}) page`);
      return row?.version ?? empty.version;
    },
  };
}

type Run = <Row>(query: SQL) => Promise<Row[]>;
interface Found extends Written {
  readonly word: string;
  readonly project: string;
  readonly owner: string;
  readonly requiredRoles: string[];
  readonly requiredClaims: string[];
}

/** `asked`: the words, each with the machine that it names. Written once, since every read of a machine asks it. */
function namedBy(asked: SQL): string {
  const { id, project, owner, requiredRoles, requiredClaims } = machines;
  const guarded = sql`${project}, ${owner}, ${requiredRoles} as "requiredRoles", ${requiredClaims} as "requiredClaims"`;
  return dialect.sqlToQuery(
    sql`select asked.word::text as word, ${guarded}, ${version} || ${id} as version, ${written} as json
        from ${machines} join ${asked} where ${machines.retiredAt} is null`,
  ).sql;
}

const empty: Written = { json: '{"items":[],"nextCursor":null}', version: "none" };
const versionOf = sql`md5(string_agg(page.id || page.version, ',' order by page.place))`;

/** One row more than asked for tells that there is a next page. */
function rowsOf(filter: MachineFilter, { cursor, limit }: PageAsk, more: SQL = sql``): SQL {
  const place = sql`row_number() over (order by ${newestFirst(machines)})`;
  return sql`select ${machines.id}::text as id, ${version} as version, ${place} as place${more} from ${machines}
    where ${wantedMachines(filter, cursor)} order by ${newestFirst(machines)} limit ${limit + 1}`;
}

/** The same reader by what decides what it sees: of a super user nothing but the project does. */
export function sightOf({ project, userId, isSuperUser, roles, claims }: Reader): Reader {
  return isSuperUser ? { project, isSuperUser, userId: "", roles: [], claims: [] } : { project, isSuperUser, userId, roles, claims };
}
const filterKey = ({ reader, ...filter }: MachineFilter): MachineFilter => (reader ? { ...filter, reader: sightOf(reader) } : filter);

async function page(run: Run, key: string): Promise<Written> {
  const [filter, ask] = JSON.parse(key) as [MachineFilter, PageAsk];
  const within = sql`filter (where page.place <= ${ask.limit})`;
  const last = sql`filter (where page.place = ${ask.limit})`;
  const [row] = await run<{ items: string | null; version: string; count: number; at: string | null; id: string | null }>(
    sql`select string_agg(page.json, ',' order by page.place) ${within} as items, ${versionOf} as version, count(*)::int as count,
        max(page.at) ${last} as at, max(page.id) ${last} as id
      from (${rowsOf(filter, ask, sql`, ${placeOf(machines)} as at, ${written} as json`)}) page`,
  );
  if (!row || row.items === null) return empty;
  const next = row.count > ask.limit && row.at !== null && row.id !== null ? `"${cursorAt([row.at, row.id])}"` : "null";
  const json = `{"items":[${row.items}],"nextCursor":${next}}`;
  return { json: Buffer.from(json), version: row.version };
}
