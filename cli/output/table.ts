/**
 * Tables for people: aligned columns without borders, so that a line can be cut out by `awk` too.
 */
import Table from "cli-table3";

export interface Column<T> {
  readonly title: string;
  readonly of: (row: T) => string | number | null | undefined;
  readonly right?: boolean;
}

const bare = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};
const style = { "padding-left": 0, "padding-right": 0, head: [], border: [] };

/** `none` is what people read where there is nothing. */
export function table<T>(rows: readonly T[], columns: ReadonlyArray<Column<T>>, none: string): string {
  if (rows.length === 0) return none;
  const head = columns.map(({ title }) => title);
  const lines = new Table({ head, chars: bare, style, colAligns: columns.map(({ right }) => (right ? "right" : "left")) });
  lines.push(...rows.map((row) => columns.map(({ of }) => shown(of(row)))));
  return trimmed(lines.toString());
}

/** One thing, a fact per line; what is empty is left out. */
export function facts(given: ReadonlyArray<readonly [string, string | number | null | undefined]>): string {
  const lines = new Table({ chars: bare, style });
  lines.push(...given.filter(([, value]) => shown(value) !== "").map(([name, value]) => [name, shown(value)]));
  return trimmed(lines.toString());
}

const shown = (value: string | number | null | undefined): string => (value === null || value === undefined ? "" : String(value));
const trimmed = (text: string): string =>
  text
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
