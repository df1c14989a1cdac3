/**
 * `drover key rotate`: new keys.
 *
 * The one idea: nothing is rotated that was not named, since a new master key means something to whoever keeps backups.
 */
import { z } from "zod";
import type { Context } from "../context.ts";
import { rotatable, type Rotatable, type Rotated } from "../parts.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";

const wanted = z.boolean().default(false);
const Options = z.object({ master: wanted, payload: wanted, signing: wanted, grant: wanted });

export async function rotateKeys(context: Context, _args: readonly string[], options: unknown): Promise<void> {
  const chosen = given(Options, options);
  const which = rotatable.filter((name) => chosen[name]);
  if (which.length === 0) throw usageFault(`Say which key: ${rotatable.map((name) => `--${name}`).join(", ")}.`, "drover key rotate");
  const keys = context.parts.keys();
  const rotated: Array<Rotated & { key: Rotatable }> = [];
  for (const key of which) rotated.push({ key, ...(await keys.rotate(key)) });
  context.show(rotated, () => rotated.map(({ key, id, replaced }) => `The ${key} key is ${id} now; it was ${replaced}.`).join("\n"));
  if (chosen.master)
    context.remark("Keep the new one safe (`drover key export`), and the old one for as long as you keep backups made before now.");
}
