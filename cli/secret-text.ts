/** What is secret comes from a file, standard input or a variable: in the arguments every user of the computer could read it. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text as textOf } from "node:stream/consumers";
import type { Context } from "./context.ts";
import { usageFault } from "./problem.ts";

export interface SecretSource {
  /** A path, or `-` for standard input. */
  readonly file?: string | undefined;
  /** The name of a variable. */
  readonly env?: string | undefined;
}

/** `what`: as the options are called, such as `credentials`. Undefined where neither is given. */
export async function secretText(
  { env, streams, folder }: Context,
  { file, env: variable }: SecretSource,
  { what, usage }: { what: string; usage: string },
): Promise<string | undefined> {
  if (file === undefined && variable === undefined) return undefined;
  if (file !== undefined && variable !== undefined) throw usageFault(`--${what}-file and --${what}-env exclude each other.`, usage);
  const text =
    file === undefined ? env[variable ?? ""] : await (file === "-" ? textOf(streams.in) : contentOf(resolve(folder, file), usage));
  if (text !== undefined && text.trim() !== "") return text;
  throw usageFault(
    `There ${what.endsWith("s") ? "are" : "is"} no ${what} where ${what.endsWith("s") ? "they were" : "it was"} said to be.`,
    usage,
  );
}

async function contentOf(path: string, usage: string): Promise<string> {
  return readFile(path, "utf8").catch(() => {
    throw usageFault(`The file ${path} cannot be read.`, usage);
  });
}
