/**
 * Machines as their readers get them: JSON that PostgreSQL writes, with a mark of which version of the rows it shows.
 *
 * The one idea: what a row says is turned into JSON once, where it lies. The mark is made of the rows' own versions (`xmin`, which every change
 * of a row moves), so whether anything has changed is told without writing, or comparing, a page of megabytes. A page that was written is kept, and
 * answered again where the database says that it would write the same.
 */
import { getTableColumns, sql, type SQL } from "drizzle-orm";
import { PgDialect, PgTimestamp } from "drizzle-orm/pg-core";
import type postgres from "postgres";
import type { Reader } from "../domain/access/rules.ts";
import { Uuid } from "../domain/ids.ts";
import { mayReach } from "../domain/machines/rules.ts";
import { Machine } from "../domain/machines/schema.ts";
import { keeping, type Kept } from "./kept.ts";
import { wantedMachines, type MachineFilter } from "./machines.ts";
import { afterCursor, cursorAt, newestFirst, placeOf, type PageAsk } from "./pages.ts";
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

/** Some eighty pages of 500 machines. */
const mostKeptBytes = 32 * 1024 ** 2;

export function machineReads(client: postgres.Sql): MachineReads {
  /** Prepared once per connection, which a page of 100 machines notices and a single one more so. */
  const run: Run = ({ text, params }) => client.unsafe(text, params as postgres.ParameterOrJSON<never>[], { prepare: true });
  const named = (text: string) =>
    together(async (words) => {
      const rows = await client.unsafe<Found[]>(text, [[...words]], { prepare: true });
      return new Map(rows.map((row) => [row.word, row]));
    });
  const byId = named(namedBy(sql`unnest(${sql.param([])}::uuid[]) asked(word) on ${machines.id} = asked.word`));
  const byName = named(namedBy(sql`unnest(${sql.param([])}::text[]) asked(word) on lower(${machines.name}) = lower(asked.word)`));
  const kept = keeping<WrittenPage>(mostKeptBytes);
  const pages = eachOf((key) => pageNow(run, kept, key));
  const versions = eachOf((key) => versionNow(run, kept, key));
  /** A cursor that is none is refused to whoever sent it, and to nobody who asks at the same moment. */
  const keyOf = (filter: MachineFilter, ask: PageAsk): string => {
    afterCursor(machines, ask.cursor);
    return JSON.stringify([filterKey(filter), ask]);
  };
  return {
    one: async (idOrName, reader) => {
      const id = Uuid.safeParse(idOrName);
      const row = await (id.success ? byId(id.data) : byName(idOrName));
      return row && mayReach(row, reader) ? row : null;
    },
    page: async (filter, ask) => (await pages(keyOf(filter, ask))) ?? empty,
    pageVersion: async (filter, ask) => (await versions(keyOf(filter, ask))) ?? empty.version,
  };
}

interface Query {
  readonly text: string;
  readonly params: readonly unknown[];
}
type Run = <Row extends object>(query: Query) => Promise<Row[]>;
const queryOf = (query: SQL): Query => {
  const { sql: text, params } = dialect.sqlToQuery(query);
  return { text, params };
};

const eachOf = <V>(read: (key: string) => Promise<V>) =>
  together(async (keys) => new Map(await Promise.all(keys.map(async (key) => [key, await read(key)] as const))));

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

interface WrittenPage {
  readonly written: Written;
  /** What was committed when it was written, or found to be the same. */
  readonly moment: string;
  /** Asks for the version of the page, unless the moment is still the one of its first parameter. */
  readonly again: Query;
}

/**
 * Which transactions a statement sees, in the words of PostgreSQL: two statements that see the same ones read the same. A server that was started anew,
 * or took the place of another, may have another history under the same words.
 */
const moment = sql`pg_postmaster_start_time()::text || pg_current_snapshot()::text`;

/** What the key asks for as it is now: written anew only where it is not what is kept. */
async function pageNow(run: Run, kept: Kept<WrittenPage>, key: string): Promise<Written> {
  const last = kept.get(key);
  if (last && (await isStill(run, kept, key, last))) return last.written;
  const page = await write(run, key);
  kept.set(key, page, page.written.json.length + key.length);
  return page.written;
}

async function versionNow(run: Run, kept: Kept<WrittenPage>, key: string): Promise<string> {
  const last = kept.get(key);
  if (last && (await isStill(run, kept, key, last))) return last.written.version;
  const [row] = await run<Again>(againOf(key));
  return row?.version ?? empty.version;
}

interface Again {
  readonly moment: string;
  /** Null also where there are no rows. */
  readonly version: string | null;
}

async function isStill(run: Run, kept: Kept<WrittenPage>, key: string, last: WrittenPage): Promise<boolean> {
  const [row] = await run<Again>({ ...last.again, params: [last.moment, ...last.again.params.slice(1)] });
  if (row?.moment === last.moment) return true;
  if (!row || (row.version ?? empty.version) !== last.written.version) return false;
  kept.set(key, { ...last, moment: row.moment }, last.written.json.length + key.length);
  return true;
}

function againOf(key: string): Query {
  const [filter, ask] = JSON.parse(key) as [MachineFilter, PageAsk];
  return queryOf(sql`select ${moment} as moment,
    case when ${moment} <> ${"none"}::text then (select ${versionOf} from (${rowsOf(filter, ask)}) page) end as version`);
}

async function write(run: Run, key: string): Promise<WrittenPage> {
  const [filter, ask] = JSON.parse(key) as [MachineFilter, PageAsk];
  const within = sql`filter (where page.place <= ${ask.limit})`;
  const last = sql`filter (where page.place = ${ask.limit})`;
  const [row] = await run<PageRow>(
    queryOf(sql`select string_agg(page.json, ',' order by page.place) ${within} as items, ${versionOf} as version, count(*)::int as count,
        max(page.at) ${last} as at, max(page.id) ${last} as id, ${moment} as moment
      from (${rowsOf(filter, ask, sql`, ${placeOf(machines)} as at, ${written} as json`)}) page`),
  );
  return { written: row ? pageOf(row, ask) : empty, moment: row?.moment ?? "none", again: againOf(key) };
}

interface PageRow {
  readonly items: string | null;
  readonly version: string;
  readonly count: number;
  readonly at: string | null;
  readonly id: string | null;
  readonly moment: string;
}

function pageOf({ items, version, count, at, id }: PageRow, { limit }: PageAsk): Written {
  if (items === null) return empty;
  const next = count > limit && at !== null && id !== null ? `"${cursorAt([at, id])}"` : "null";
  return { json: Buffer.from(`{"items":[${items}],"nextCursor":${next}}`), version };
}
