/**
 * Values as people type them on the command line, each a zod schema from a string to what the API takes.
 *
 * The one idea: units end here; a mistake says what would be right, in the same words everywhere.
 */
import { z } from "zod";
import { duration } from "../domain/config/values.ts";
import { usageFault } from "./problem.ts";

const powers: Readonly<Record<string, number>> = { "": 0, K: 1, M: 2, G: 3, T: 4 };
const sizePattern = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:iB|B)?$/i;

export const byteSize = z
  .string()
  .regex(sizePattern, "must be a size such as 512M or 8G")
  .transform((text) => {
    const [, count = "0", unit = ""] = sizePattern.exec(text) ?? [];
    return Math.round(Number(count) * 1024 ** (powers[unit.toUpperCase()] ?? 0));
  });

export const wholeNumber = z.string().regex(/^\d+$/, "must be a whole number").transform(Number);
export const integer = z
  .string()
  .regex(/^-?\d+$/, "must be a whole number, which may be negative")
  .transform(Number);
/** Seconds from `90s`, `2h` or `7d`. */
export const seconds = duration.transform((milliseconds) => Math.max(1, Math.round(milliseconds / 1000)));
export const milliseconds = duration;

/** `NAME=value`, any number of times. */
export const pairs = z
  .array(z.string().regex(/^[^=]+=/s, "must be a name and a value, such as role=build"))
  .default([])
  .transform((given) => Object.fromEntries(given.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)])));

/** `catalogId`, `catalogId:version`, `catalogId:version/architecture` or, as lists show it, `catalogId/version/architecture`. */
const referencePattern = /^([^:/]+)(?::([^/]+)(?:\/([^/]+))?|\/([^/]+)(?:\/([^/]+))?)?$/;
export function imageReference(text: string): { catalogId: string; version?: string; architecture?: string } {
  const [, catalogId, version, architecture, listedVersion, listedArchitecture] = referencePattern.exec(text) ?? [];
  if (catalogId === undefined)
    throw usageFault(`${text} does not name an image: say <catalogId>, <catalogId>:<version> or <catalogId>:<version>/<architecture>.`);
  const [v, a] = [version ?? listedVersion, architecture ?? listedArchitecture];
  return { catalogId, ...(v === undefined ? {} : { version: v }), ...(a === undefined ? {} : { architecture: a }) };
}

/** Checks what the caller typed, before anything is sent; the first words name the option. */
export function given<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw usageFault(`${parsed.error.issues.map(mistake).join("; ")}.`);
}

function mistake({ path, message }: z.core.$ZodIssue): string {
  const [name] = path;
  if (name === undefined) return message;
  const option = String(name);
  return message.startsWith(option) ? message : `${option}: ${message}`;
}
