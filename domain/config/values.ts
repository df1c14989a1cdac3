/**
 * The kinds of values that environment variables have: each is a zod schema from a string, whose message says what would be right.
 *
 * The one idea: units end here. A duration leaves as milliseconds and a size as bytes, whatever the variable's own unit is.
 */
import { z } from "zod";
import { parseCredentials } from "../catalog/store-credentials.ts";
import { locationForms, parseStoreLocation } from "../catalog/store-location.ts";

/** Milliseconds per unit of a duration such as `15m` or `1h30m`. */
const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const partOfDuration = /(\d+)(ms|s|m|h|d)/g;

export const duration = z
  .string()
  .regex(/^(\d+(ms|s|m|h|d))+$/, "must be a duration such as 500ms, 15m, 1h30m or 7d")
  .transform((text) =>
    [...text.matchAll(partOfDuration)].reduce((sum, [, count, unit]) => sum + Number(count) * (unitsMs[unit ?? "ms"] ?? 1), 0),
  );

/** The longest whole numbers that are still exact. */
const integer = (from: number, to: number) =>
  z
    .string()
    .transform(Number)
    .refine((value) => Number.isInteger(value) && value >= from && value <= to, `must be a whole number from ${from} to ${to}`);

export const count = (from: number, to = 1_000_000) => integer(from, to);
export const port = integer(1, 65_535);
export const portOrOff = integer(0, 65_535);

/** The wire speaks of megabytes of 1024 * 1024 bytes. */
export const megabytes = integer(0, 1_000_000_000).transform((megabytes) => megabytes * 1024 * 1024);

/** Bytes per second: `20M` is what a line of 160 Mbit/s carries. */
export const rate = z
  .string()
  .regex(/^[1-9]\d{0,8}[kMG]?$/, "must be bytes per second, such as 500k, 20M or 1G")
  .transform((text) => Number.parseInt(text, 10) * (({ k: 1e3, M: 1e6, G: 1e9 } as Record<string, number>)[text.slice(-1)] ?? 1));

/** A level of compression, or the word for one that follows the line. */
export const compression = z
  .string()
  .regex(/^([1-9]|adaptive)$/, "must be a level from 1 to 9, or adaptive")
  .transform((text) => (text === "adaptive" ? ("adaptive" as const) : Number(text)));

export const flag = z
  .string()
  .regex(/^(1|t|true|0|f|false)$/i, "must be true or false")
  .transform((word) => /^(1|t|true)$/i.test(word));

export const words = z.string().transform((text) =>
  text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== ""),
);

export const wordsOf = <const Word extends string>(known: readonly Word[]) =>
  words.superRefine((list, context) => {
    const unknown = list.filter((word) => !known.some((one) => one === word));
    if (unknown.length === 0) return;
    context.addIssue({ code: "custom", message: `does not know ${unknown.join(", ")}; the known words are ${known.join(", ")}` });
  });

export const url = (...schemes: string[]) =>
  z.string().refine(
    (text) => {
      const parsed = URL.parse(text);
      return parsed !== null && schemes.includes(parsed.protocol.slice(0, -1)) && parsed.hostname !== "";
    },
    `must be an address that begins with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`,
  );

export const hostAndPort = z.string().regex(/^[^\s/:]+:\d{1,5}$/, "must be a name and a port, such as temporal.example.com:7233");

/** Networks in CIDR notation. */
export const networks = words.superRefine((list, context) => {
  const known = z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()]);
  const wrong = list.filter((word) => !known.safeParse(word).success);
  if (wrong.length === 0) return;
  context.addIssue({ code: "custom", message: `must be networks such as 10.1.0.0/16 or fd00::/8, which ${wrong.join(", ")} is not` });
});

export const oneOf = <const Word extends string>(...known: Word[]) => z.enum(known, `must be one of ${known.join(", ")}`);

/** PEM text as the wire's TLS variables carry it. */
export const base64Pem = z
  .base64("must be a PEM file in base64")
  .transform((text) => atob(text))
  .refine((pem) => pem.includes("-----BEGIN "), "must be a PEM file in base64");

/** A place for images; a relative folder is taken from where the process starts. Its credentials have variables of their own, since a location may stand in a log. */
export const storeLocation = z
  .string()
  .refine((location) => /^folder:.+/.test(location) || parseStoreLocation(location).ok, `must be ${locationForms}, without credentials`);

/** What a store's secret holds, as people write it down. */
export const storeCredentials = z.string().transform((text, context) => {
  const parsed = parseCredentials(text);
  if (parsed.ok) return parsed.value;
  context.addIssue({ code: "custom", message: `must be lines of key=value: ${parsed.fault.message}` });
  return z.NEVER;
});
