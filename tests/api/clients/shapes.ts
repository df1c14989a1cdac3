/**
 * Answers compared with those that the contract's own service gave to the same request: status, keys, types.
 *
 * The one idea: values differ, shapes must not. `shapes.json` has a status and the type of each key per recorded answer; what is left out on purpose
 * stands in one table with its reason.
 */
import { readFileSync } from "node:fs";
import type { Answer } from "./caller.ts";

/** A type's name, the shape of all items of a list, or that of each key. */
type Shape = string | readonly Shape[] | { readonly [key: string]: Shape };
export interface Recorded {
  readonly status: number;
  readonly shape: Shape;
}
const recorded: Readonly<Record<string, Recorded>> = JSON.parse(readFileSync(new URL("shapes.json", import.meta.url), "utf8"));

/** By the end of a key's path. */
const leftOut: readonly (readonly [RegExp, string])[] = [
  [/(^|\.)provider\.(meta|host|port|user|password)$/, "tells where bytes lie, and secrets"],
  [/(^|\.)diagnostics\.(path|metadata)/, "tells places in source code"],
  [/(^|\.)(reverse_proxy|reverse_proxy_hosts)$/, "a later part of the contract"],
  [/(^|\.)prl_home_(size|free_size|total_size)$/, "hosts report one disk"],
  [/(^|\.)(virtual_machine_contents|pack_contents)\[\]/, "the files of a version stand in its tree"],
  [/(^|\.)(cache_config|cache_items)($|\.)/, "a host's cache keeps to its own budget"],
  [/(^|\.)(SmartMount\.|Print Management|Guest Shared Folders\.Automount)/, "told where the guest has it"],
  [/(^|\.)is_orchestrator_job$/, "an operation has one id on the whole fleet"],
];

/** What differs from the recorded answer, as a list of sentences; `also` are paths that differ in this one test. */
export function differences(name: string, answer: Answer, also: readonly string[] = []): string[] {
  const known = recorded[name];
  return known ? differencesFrom(known, answer, also) : [`there is no recorded answer ${name}`];
}

export function differencesFrom(
  known: Recorded,
  { status, body }: Pick<Answer, "status" | "body">,
  also: readonly string[] = [],
): string[] {
  const told = status === known.status ? [] : [`status ${status} instead of ${known.status}: ${JSON.stringify(body).slice(0, 300)}`];
  // An empty body is recorded as null.
  return [...told, ...compared(known.shape, body === "" ? null : body, "", also)];
}

function compared(shape: Shape, value: unknown, path: string, also: readonly string[]): string[] {
  if (also.includes(path) || leftOut.some(([pattern]) => pattern.test(path))) return [];
  if (isList(shape)) {
    if (!Array.isArray(value)) return [`${path} is no list`];
    const [item] = shape;
    return item === undefined ? [] : value.flatMap((one: unknown) => compared(item, one, `${path}[]`, also));
  }
  if (typeof shape === "string")
    return shape === "any" || shape === typeOf(value) ? [] : [`${path} is ${typeOf(value)} instead of ${shape}`];
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [`${path} is ${typeOf(value)} instead of an object`];
  const own = new Map<string, unknown>(Object.entries(value));
  return Object.entries(shape).flatMap(([key, inner]) => compared(inner, own.get(key), path === "" ? key : `${path}.${key}`, also));
}

const isList = (shape: Shape): shape is readonly Shape[] => Array.isArray(shape);
const typeOf = (value: unknown): string => (value === null ? "null" : Array.isArray(value) ? "list" : typeof value);
