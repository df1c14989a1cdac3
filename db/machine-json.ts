/**
 * How machines and their versions are asked for: PostgreSQL writes the JSON, and tells which version of a row it shows.
 *
 * The one idea: what a row says is turned into JSON once, where it lies. Its version is PostgreSQL's own (`xmin`, which every change of a row moves).
 */
import { getTableColumns, sql, type SQL } from "drizzle-orm";
import { PgDialect, PgTimestamp } from "drizzle-orm/pg-core";
import type postgres from "postgres";
import { Machine } from "../domain/machines/schema.ts";
import { machines } from "./schema.ts";

/** JSON, and what tells it from every other version of itself. */
export interface Written {
  /** Bytes where it is long and several may be answered with it. */
  readonly json: string | Uint8Array<ArrayBuffer>;
  readonly version: string;
}

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
export const written = sql`(select row_to_json(shown)::text from (select ${shown}) shown)`;
export const version = sql`${machines}.xmin::text`;

/**
 * Which transactions a statement sees, in the words of PostgreSQL: two statements that see the same ones read the same. A server that was started anew,
 * or took the place of another, may have another history under the same words.
 */
export const moment = sql`pg_postmaster_start_time()::text || pg_current_snapshot()::text`;

export interface Query {
  readonly text: string;
  readonly params: readonly unknown[];
}
const dialect = new PgDialect();
export const queryOf = (query: SQL): Query => {
  const { sql: text, params } = dialect.sqlToQuery(query);
  return { text, params };
};

export type Run = <Row extends object>(query: Query) => Promise<Row[]>;
/** Prepared once per connection, which a page of 100 machines notices and a single one more so. */
export const runOn =
  (client: postgres.Sql): Run =>
  ({ text, params }) =>
    client.unsafe(text, params as postgres.ParameterOrJSON<never>[], { prepare: true });
