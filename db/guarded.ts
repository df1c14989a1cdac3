/**
 * Conditions on rows that say by lists of words who may see them.
 *
 * The one idea: the same rule as `maySee`, where only PostgreSQL can apply it: before a page is cut, before a row is locked.
 */
import { sql, type SQL } from "drizzle-orm";
import type { PgColumn } from "drizzle-orm/pg-core";

/** Whether any word of the column, in any case, is among those held; an empty list asks for nothing. */
export const heldAny = (column: PgColumn, words: readonly string[]): SQL =>
  sql`(cardinality(${column}) = 0 or exists (select 1 from unnest(${column}) word where lower(word) = any(${sql.param(words.map((word) => word.toLowerCase()))}::text[])))`;
