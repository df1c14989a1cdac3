/**
 * Pages of a list, newest first, by a cursor that its reader need not understand.
 *
 * The one idea: the cursor is the place of the last row (its time as PostgreSQL writes it, and its id), so rows that come meanwhile shift nothing.
 */
import { sql, type AnyColumn, type SQL } from "drizzle-orm";
import { z } from "zod";
import { FaultError } from "../domain/errors.ts";
import { Uuid } from "../domain/ids.ts";

export interface Page<T> {
  readonly items: T[];
  readonly nextCursor: string | null;
}
export interface PageAsk {
  readonly cursor?: string | undefined;
  readonly limit: number;
}
interface Ordered {
  readonly createdAt: AnyColumn;
  readonly id: AnyColumn;
}

const Place = z.tuple([z.string().regex(/^[0-9 :.+-]{10,40}$/), Uuid]);

/** Rows after the cursor; without one, all. */
export function afterCursor({ createdAt, id }: Ordered, cursor: string | undefined): SQL | undefined {
  if (cursor === undefined) return undefined;
  const place = Place.safeParse(decoded(cursor));
  if (!place.success) throw new FaultError({ code: "invalid_request", message: "The cursor is not one that this list gave." });
  return sql`(${createdAt}, ${id}) < (${place.data[0]}::timestamptz, ${place.data[1]}::uuid)`;
}

export const newestFirst = ({ createdAt, id }: Ordered): SQL => sql`${createdAt} desc, ${id} desc`;
/** The exact time, which a Date of milliseconds would cut. */
export const placeOf = ({ createdAt }: Ordered): SQL<string> => sql<string>`${createdAt}::text`;

/** Cuts one row more than asked for, which tells that there is a next page. */
export function pageOf<Row extends { id: string }, T>(
  found: ReadonlyArray<{ row: Row; at: string }>,
  limit: number,
  parse: (row: Row) => T,
): Page<T> {
  const shown = found.slice(0, limit);
  const last = found.length > limit ? shown.at(-1) : undefined;
  return { items: shown.map(({ row }) => parse(row)), nextCursor: last ? cursorAt([last.at, last.row.id]) : null };
}

/** The cursor of whoever wants what follows the row that stands there. */
export const cursorAt = (place: [string, string]): string => Buffer.from(JSON.stringify(place)).toString("base64url");

function decoded(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch {
    return null;
  }
}
