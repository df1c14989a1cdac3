/** `drover bundle inspect|check`: what a bundle on this computer is, and whether a push would take it. Asks no hub. */
import { homedir } from "node:os";
import { resolve } from "node:path";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { bytes } from "../output/format.ts";
import { facts } from "../output/table.ts";
import type { BundleReport } from "../parts.ts";

const report = ({ parts, folder }: Context, path: string): Promise<BundleReport> =>
  parts.inspectBundle(resolve(folder, path.replace(/^~(?=\/)/, homedir())));

export async function inspectBundle(context: Context, [path = ""]: readonly string[]): Promise<void> {
  const found = await report(context, path);
  context.show(found, () => [facts(lines(found.facts)), ...refusalLines(found)].join("\n"));
}

export async function checkBundle(context: Context, [path = ""]: readonly string[]): Promise<number> {
  const found = await report(context, path);
  const good = found.refusals.length === 0;
  context.show({ accepted: good, ...found }, () => (good ? "A push would take this bundle." : refusalLines(found).join("\n")));
  return (good ? exitCodes.done : exitCodes.failed).code;
}

/** A person mends these before asking again; the rest is in the JSON. */
const shownRefusals = 10;

/** Each reason, and once at its end what to do about those of its kind. */
function refusalLines({ refusals }: BundleReport): string[] {
  if (refusals.length === 0) return [];
  const shown = refusals.slice(0, shownRefusals);
  const more = refusals.length - shown.length;
  const remedies = new Set(shown.map(({ remedy }) => remedy).filter((remedy) => remedy !== ""));
  return [
    "A push would refuse this bundle:",
    ...shown.map(({ message }) => `  ${message}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...[...remedies].map((remedy) => `    ${remedy}`),
  ];
}

/** Facts by their names: those that end in `Bytes` are sizes, lists and objects get lines of their own. */
function lines(given: Readonly<Record<string, unknown>>, prefix = ""): Array<readonly [string, string]> {
  return Object.entries(given).flatMap(([name, value]): Array<readonly [string, string]> => {
    if (value === null || value === undefined) return [];
    if (Array.isArray(value))
      return value.flatMap((item, index) =>
        isObject(item) ? lines(item, `${prefix}${worded(name)} ${index + 1} `) : [[`${prefix}${worded(name)}`, String(item)] as const],
      );
    if (isObject(value)) return lines(value, `${prefix}${worded(name)} `);
    return [
      [`${prefix}${worded(name)}`.replace(/ bytes$/, ""), typeof value === "number" && /bytes$/i.test(name) ? bytes(value) : String(value)],
    ];
  });
}
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const worded = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
