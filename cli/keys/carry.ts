/**
 * `drover key export` and `drover key import`: the master key to a safe place, and back.
 *
 * The one idea: the key never stands on a command line, and on a screen only for those who insist.
 */
import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";
import type { Context } from "../context.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";

const Exporting = z.object({ to: z.string().optional(), yes: z.boolean().default(false) });
const unproven = "It was not compared with the database, which did not answer.";

export async function exportKey(context: Context, _args: readonly string[], options: unknown): Promise<void> {
  const { to, yes } = given(Exporting, options);
  const { out } = context.streams;
  if (to === undefined && out.isTTY === true && !yes)
    throw usageFault("This would show the master key on the screen: name a file with --to, or say --yes.", "drover key export");
  const { key, id, proven } = await context.parts.keys().read();
  if (!proven) context.remark(unproven);
  if (to === undefined) return context.show({ id, key }, () => key);
  const file = resolve(context.folder, to);
  await writeFile(file, `${key}\n`, { mode: 0o600, flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    throw usageFault(`The file ${file} cannot be made: ${error.code ?? error.message}.`, "drover key export");
  });
  context.show({ id, file }, () => `The master key ${id} lies in ${file}. Whoever has it and a copy of the database can read everything.`);
}

export async function importKey(context: Context, [file]: readonly string[]): Promise<void> {
  const { in: input } = context.streams;
  if (file === undefined && input.isTTY === true) throw usageFault("Name a file, or send the key by standard input.", "drover key import");
  const read = file === undefined ? text(input) : readFile(resolve(context.folder, file), "utf8");
  const key = await read.catch((error: NodeJS.ErrnoException) => {
    throw usageFault(`The file ${file ?? "-"} cannot be read: ${error.code ?? "unknown"}.`, "drover key import");
  });
  const { id, file: kept, proven } = await context.parts.keys().take(key);
  if (!proven) context.remark(`${unproven} The hub compares it when it starts.`);
  context.show({ id, file: kept, proven }, () => `The master key ${id} lies in ${kept}.`);
}
