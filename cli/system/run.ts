/** `drover run` and `drover start`: this process becomes the named one, and ends as it ends. */
import type { Context } from "../context.ts";
import { processNames } from "../parts.ts";
import { usageFault } from "../problem.ts";

export async function run({ parts }: Context, [word = ""]: readonly string[]): Promise<null> {
  const name = processNames.find((known) => known === word);
  if (name === undefined) throw usageFault(`There is no process ${word}: the known ones are ${processNames.join(", ")}.`, "drover run");
  await parts.runProcess(name);
  return null;
}

export async function start({ parts }: Context): Promise<null> {
  await parts.start();
  return null;
}
