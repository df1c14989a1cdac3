/** `drover reset`: removes the state of the embedded stack, after asking. */
import { createInterface } from "node:readline/promises";
import { z } from "zod";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";

const Options = z.object({ yes: z.boolean().default(false) });

export async function reset(context: Context, _args: readonly string[], options: unknown): Promise<number> {
  const { yes } = given(Options, options);
  if (!yes && !(await agreed(context))) {
    context.remark("Nothing was removed.");
    return exitCodes.cancelled.code;
  }
  const removed = await context.parts.reset();
  context.show({ removed }, () =>
    removed.length === 0 ? "There is no state to remove." : removed.map((folder) => `Removed ${folder}.`).join("\n"),
  );
  return exitCodes.done.code;
}

async function agreed({ streams }: Context): Promise<boolean> {
  if (streams.in.isTTY !== true) throw usageFault("Say --yes to remove all state.", "drover reset");
  const reader = createInterface({ input: streams.in, output: streams.err });
  try {
    return /^y(es)?$/i.test((await reader.question("Remove all images, machines and accounts of the embedded stack? [y/N] ")).trim());
  } finally {
    reader.close();
  }
}
