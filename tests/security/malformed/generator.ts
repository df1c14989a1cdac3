/**
 * Requests that are wrong in one to three places, made from what the API says about itself.
 *
 * The one idea: a request is right in all but those places, so it comes as far into the program as its mistake lets it; one seed makes the same ten thousand
 * again.
 */
import type { Random } from "../../crash/random.ts";
import { chance, contentTypes, hostileBodies, hostileHeaders, hostileSegments, hostileTexts, hostileValues } from "./values.ts";

export interface Template {
  /** As in `GET /api/v2/machines/{idOrName}`. */
  readonly name: string;
  readonly method: string;
  /** Of a request that is right. */
  readonly path: string;
  readonly body?: unknown;
  readonly schema?: Schema | undefined;
  readonly queries: readonly string[];
}
/** A part of a schema of the document, its references followed. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
}

/** As it goes over the line. */
export interface Raw {
  readonly name: string;
  method: string;
  path: string;
  headers: [string, string][];
  body: Buffer;
}

export function malformed(template: Template, random: Random): Raw {
  const { name, method, path, schema } = template;
  const value = template.body ?? (schema && sampleOf(schema, random, 0));
  const raw: Raw = { name, method, path, headers: [["Content-Type", "application/json"]], body: Buffer.from(jsonOf(value)) };
  const mistakes = 1 + Math.floor(random.next() * 3);
  const bodied = value !== undefined;
  for (let made = 0; made < mistakes; made += 1) {
    const mistake = random.pick(bodied ? [...inBody, ...inBody, ...elsewhere] : elsewhere);
    mistake(raw, template, random, value);
  }
  return raw;
}

type Mistake = (raw: Raw, template: Template, random: Random, value: unknown) => void;

const inBody: readonly Mistake[] = [
  // A field of another type, missing, or of an unlikely value.
  (raw, _, random, value) => {
    raw.body = Buffer.from(jsonOf(changed(value, random)));
  },
  (raw, { schema }, random) => {
    raw.body = Buffer.from(jsonOf(changed(schema && sampleOf(schema, random, 0), random)));
  },
  (raw, _, random) => {
    raw.body = Buffer.from(random.pick(hostileBodies));
  },
  // Cut off, gone on, or with a byte of it flipped.
  (raw, _, random) => {
    raw.body = raw.body.subarray(0, Math.floor(random.next() * raw.body.length));
  },
  (raw, _, random) => {
    raw.body = Buffer.concat([raw.body, Buffer.from(random.pick(hostileTexts))]);
  },
  (raw, _, random) => {
    if (raw.body.length === 0) return;
    raw.body = Buffer.from(raw.body);
    raw.body[Math.floor(random.next() * raw.body.length)] = Math.floor(random.next() * 256);
  },
  // The same field twice.
  (raw) => {
    const text = raw.body.toString();
    raw.body = Buffer.from(text.replace(/^\{(.*)\}$/s, "{$1,$1}"));
  },
  (raw, _, random) => {
    raw.headers = [["Content-Type", random.pick(contentTypes)]];
  },
  (raw) => {
    raw.headers = [];
  },
];

const elsewhere: readonly Mistake[] = [
  (raw, _, random) => {
    const parts = raw.path.split("/");
    const at = 3 + Math.floor(random.next() * Math.max(1, parts.length - 3));
    parts[Math.min(at, parts.length - 1)] = chance(random, 0.5) ? random.pick(hostileSegments) : encoded(random.pick(hostileTexts));
    raw.path = parts.join("/");
  },
  (raw, { queries }, random) => {
    const names = queries.length > 0 ? queries : ["cursor", "limit", "force", "tail", "group", "full", "event_types"];
    const count = chance(random, 0.05) ? 500 : 1 + Math.floor(random.next() * 3);
    const pairs = Array.from({ length: count }, () => `${random.pick(names)}=${valueOfQuery(random)}`);
    raw.path = `${raw.path.split("?")[0] ?? ""}?${pairs.join("&")}`.slice(0, 12_000);
  },
  (raw, _, random) => {
    const [name, values] = random.pick(hostileHeaders);
    raw.headers.push([name, random.pick(values)]);
  },
  (raw, _, random) => {
    raw.method = random.pick(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get", "X"]);
  },
  (raw, _, random) => {
    raw.path = random.pick([
      raw.path.replaceAll("/", "//"),
      `${raw.path}/`,
      raw.path.toUpperCase(),
      raw.path.replace("/api/v1", "/api"),
      `${raw.path}/..`,
      `${raw.path}#x`,
      `${raw.path}?${"a=1&".repeat(500)}`,
      raw.path.replace("/api/", "/api/./"),
    ]);
  },
];

const cursors = ["", "garbage", "bnVsbA", "e30", "W10", "WyIyMDI2IiwieCJd", "eyJhdCI6MX0", "'", "%00", "A".repeat(600)];
const valueOfQuery = (random: Random): string => (chance(random, 0.4) ? random.pick(cursors) : encoded(random.pick(hostileTexts)));

/** Lone surrogates cannot be encoded; they are left out. */
const encoded = (text: string): string => encodeURIComponent(text.toWellFormed()).slice(0, 6_000);

const jsonOf = (value: unknown): string => (value === undefined ? "" : JSON.stringify(value));

/** A value that fits, with a few of its parts. */
function sampleOf(schema: Schema, random: Random, depth: number): unknown {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices && choices.length > 0) return sampleOf(random.pick(choices), random, depth);
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => sampleOf(part, random, depth)));
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return random.pick(schema.enum);
  if (schema.properties) {
    const fields = Object.entries(schema.properties).filter(() => depth < 4 && chance(random, 0.8));
    return Object.fromEntries(fields.map(([key, part]) => [key, sampleOf(part, random, depth + 1)]));
  }
  const [type] = [schema.type ?? "object"].flat();
  if (type === "array") return schema.items && depth < 4 ? [sampleOf(schema.items, random, depth + 1)] : [];
  if (type === "string") return random.pick(["a", "golden", "1", "arm64", "default", "10.0.0.1"]);
  if (type === "integer" || type === "number") return random.pick([0, 1, 2, 80, 3600]);
  return type === "boolean" ? chance(random, 0.5) : type === "null" ? null : {};
}

/** The value with one part of it, at any depth, made hostile, removed or renamed. */
function changed(value: unknown, random: Random): unknown {
  const whole = chance(random, 0.15);
  if (whole || typeof value !== "object" || value === null) return hostile(random);
  if (Array.isArray(value)) {
    const at = Math.floor(random.next() * value.length);
    return value.length === 0 ? [hostile(random)] : value.map((item, index) => (index === at ? changed(item, random) : item));
  }
  const keys = Object.keys(value);
  if (keys.length === 0 || chance(random, 0.1)) return { ...value, [random.pick(hostileTexts)]: hostile(random) };
  const key = random.pick(keys);
  const { [key]: part, ...rest } = value as Record<string, unknown>;
  if (chance(random, 0.15)) return rest;
  if (chance(random, 0.1)) return { ...rest, [key.toUpperCase()]: part, [key]: hostile(random) };
  return { ...rest, [key]: chance(random, 0.4) ? changed(part, random) : hostile(random) };
}

const hostile = (random: Random): unknown => (chance(random, 0.5) ? random.pick(hostileTexts) : random.pick(hostileValues));
