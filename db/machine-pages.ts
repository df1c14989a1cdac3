/**
 * Machines as their readers get them: JSON that PostgreSQL writes, with a mark of which version of the rows it shows.
 *
 * The one idea: the mark is made of the rows' own versions, so whether anything has changed is told without writing, or comparing, a page of megabytes.
 * A page that was written is kept, and answered again where the database says that it would write the same.
 */
import { sql, type SQL } from "drizzle-orm";
import type postgres from "postgres";
import type { Reader } from "../domain/access/rules.ts";
import { keeping, type Kept } from "./kept.ts";
import { machineFinds } from "./machine-finds.ts";
import { moment, queryOf, runOn, version, written, type Query, type Run, type Written } from "./machine-json.ts";
import { wantedMachines, type MachineFilter } from "./machines.ts";
import { afterCursor, cursorAt, newestFirst, placeOf, type PageAsk } from "./pages.ts";
import { machines } from "./schema.ts";
import { together } from "./together.ts";

export interface MachineReads {
  /** A living machine by id or, in any case, by name, as its reader may see it. */
  one(idOrName: string, reader: Reader): Promise<Written | null>;
  page(filter: MachineFilter, ask: PageAsk): Promise<Written>;
  /** What `page` would answer as its version. */
  pageVersion(filter: MachineFilter, ask: PageAsk): Promise<string>;
}

/** Some eighty pages of 500 machines. */
const mostKeptBytes = 32 * 1024 ** 2;

export function machineReads(client: postgres.Sql): MachineReads {
  const run = runOn(client);
  const kept = keeping<WrittenPage>(mostKeptBytes);
  const pages = eachOf((key) => pageNow(run, kept, key));
  const versions = eachOf((key) => versionNow(run, kept, key));
  /** A cursor that is none is refused to whoever sent it, and to nobody who asks at the same moment. */
  const keyOf = (filter: MachineFilter, ask: PageAsk): string => {
    afterCursor(machines, ask.cursor);
    return JSON.stringify([filterKey(filter), ask]);
  };
  return {
    one: machineFinds(run),
    page: async (filter, ask) => (await pages(keyOf(filter, ask))) ?? empty,
    pageVersion: async (filter, ask) => (await versions(keyOf(filter, ask))) ?? empty.version,
  };
}

const eachOf = <V>(read: (key: string) => Promise<V>) =>
  together(async (keys) => new Map(await Promise.all(keys.map(async (key) => [key, await read(key)] as const))));

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
