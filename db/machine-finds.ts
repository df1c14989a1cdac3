/**
 * Single machines by id or name, as their readers get them.
 *
 * The one idea: every answer is asked of the database. While nothing at all is committed there, which it tells in a tenth of the time that a machine takes,
 * what was read a moment ago is still true.
 */
import { sql, type SQL } from "drizzle-orm";
import type { Reader } from "../domain/access/rules.ts";
import { Uuid } from "../domain/ids.ts";
import { mayReach } from "../domain/machines/rules.ts";
import { moment, queryOf, version, written, type Run, type Written } from "./machine-json.ts";
import { machines } from "./schema.ts";
import { together } from "./together.ts";

interface Found extends Written {
  readonly word: string;
  readonly json: string;
  readonly project: string;
  readonly owner: string;
  readonly requiredRoles: string[];
  readonly requiredClaims: string[];
  readonly moment: string;
}

/** A living machine by id or, in any case, by name, as its reader may see it. */
export function machineFinds(run: Run): (idOrName: string, reader: Reader) => Promise<Written | null> {
  // How many there are is hidden in a query of its own: PostgreSQL would plan for each number of them anew, which takes longer than reading them.
  const ids = sql`array(select unnest(${sql.param([])}::uuid[]))`;
  const byId = finds(run, textOf(machines.id, sql`${machines} where ${machines.id} = any(${ids})`));
  const names = sql`unnest((select ${sql.param([])}::text[])) asked(word) on lower(${machines.name}) = lower(asked.word)`;
  const byName = finds(run, textOf(sql`asked.word`, sql`${machines} join ${names} where true`));
  return async (idOrName, reader) => {
    const id = Uuid.safeParse(idOrName);
    const row = await (id.success ? byId(id.data) : byName(idOrName));
    return row && mayReach(row, reader) ? row : null;
  };
}

/** `word`: what a row was asked for by. */
function textOf(word: SQL | typeof machines.id, from: SQL): string {
  const { id, project, owner, requiredRoles, requiredClaims } = machines;
  const guarded = sql`${project}, ${owner}, ${requiredRoles} as "requiredRoles", ${requiredClaims} as "requiredClaims"`;
  return queryOf(
    sql`select ${word}::text as word, ${guarded}, ${version} || ${id} as version, ${written} as json, ${moment} as moment
        from ${from} and ${machines.retiredAt} is null`,
  ).text;
}

/** What was read at one moment. */
interface Known {
  readonly moment: string;
  readonly rows: Map<string, Found>;
  /** Whether the reading before saw the same moment: where something is committed all the time it is not worth asking. */
  readonly isQuiet: boolean;
}
/** A machine has one or two thousand characters; bounds the memory. */
const mostKnown = 5_000;
const now = queryOf(sql`select ${moment} as moment`);

function finds(run: Run, text: string) {
  let known: Known = { moment: "", rows: new Map(), isQuiet: false };
  const stillKnown = async (words: readonly string[]): Promise<Known | null> => {
    const last = known;
    if (!last.isQuiet || !words.every((word) => last.rows.has(word))) return null;
    const [row] = await run<{ moment: string }>(now);
    return row?.moment === last.moment ? last : null;
  };
  return together(async (words) => {
    const last = await stillKnown(words);
    if (last) return last.rows;
    const rows = await run<Found>({ text, params: [[...words]] });
    known = withRows(known, rows);
    return new Map(rows.map((row) => [row.word, row]));
  });
}

function withRows(before: Known, rows: readonly Found[]): Known {
  const [first] = rows;
  if (!first) return before;
  const isQuiet = first.moment === before.moment;
  const kept = isQuiet && before.rows.size + rows.length <= mostKnown ? before.rows : new Map<string, Found>();
  for (const row of rows) kept.set(row.word, row);
  return { moment: first.moment, rows: kept, isQuiet };
}
