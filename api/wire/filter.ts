/**
 * The header `X-Filter: property=regex[,i]` of the wire's lists.
 *
 * The one idea: the property may be nested and in any case, and a row that lacks it is left out; patterns run on short texts only, so none can stall the process.
 */
import { compiled, longestPattern } from "../../domain/patterns.ts";
import { refusal } from "./errors.ts";

/** Enough for any name, address or state; a pattern that backtracks badly stays short on it. */
const longestText = 256;

export function filtered<Row extends object>(rows: readonly Row[], header: string | undefined): Row[] {
  if (header === undefined || header === "") return [...rows];
  const at = header.indexOf("=");
  if (at < 1 || header.indexOf("=", at + 1) !== -1) throw refusal(404, `invalid filter: ${header.slice(0, longestPattern)}`);
  const path = header.slice(0, at).trim().split(".");
  const pattern = patternOf(header.slice(at + 1).trim());
  return rows.filter((row) => {
    const text = textOf(row, path);
    return text !== null && pattern.test(text.slice(0, longestText));
  });
}

function patternOf(written: string): RegExp {
  const anyCase = /,\s*i$/.test(written);
  const judged = compiled(anyCase ? written.replace(/,\s*i$/, "") : written, { anyCase });
  if (judged.ok) return judged.pattern;
  throw refusal(404, `invalid filter: ${judged.reason}`);
}

function textOf(value: unknown, path: readonly string[]): string | null {
  const [first, ...rest] = path;
  if (first === undefined) return value === null || value === undefined || typeof value === "object" ? null : String(value);
  if (typeof value !== "object" || value === null) return null;
  const own = Object.entries(value).find(([key]) => key.toLowerCase() === first.toLowerCase());
  return own === undefined ? null : textOf(own[1], rest);
}
