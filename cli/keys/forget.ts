/** `drover key forget`: a hub goes on although its master key is lost. */
import { z } from "zod";
import type { Context } from "../context.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";

const Options = z.object({ yes: z.boolean().default(false) });

export async function forgetKeys(context: Context, _args: readonly string[], options: unknown): Promise<void> {
  if (!given(Options, options).yes)
    throw usageFault("Everything that is sealed will be dropped: read docs/keys.md, then say --yes.", "drover key forget");
  const { id, ...dropped } = await context.parts.keys().forget();
  const words = () =>
    [
      `The master key is ${id} now, and every key under it is new. What the lost one sealed is gone:`,
      `  ${dropped.stores} stores need their credentials again (\`drover store add\`)`,
      `  ${dropped.hosts} hosts must enrol again (\`drover host enrol --replace\`)`,
      `  ${dropped.operations} operations were under way: terminate their workflows, and they settle`,
      `  ${dropped.outputs} lines of output and ${dropped.userConfigs} values kept for users were removed`,
      "Everyone logs in again; passwords and API keys stay.",
    ].join("\n");
  context.show({ id, ...dropped }, words);
}
