/** `drover temporal setup`: prepares a namespace, or prints how to. */
import { z } from "zod";
import type { Context } from "../context.ts";
import { given } from "../values.ts";

const Options = z.object({ print: z.boolean().default(false) });

export async function setupTemporal(context: Context, _args: readonly string[], options: unknown): Promise<void> {
  const { print } = given(Options, options);
  if (print) {
    const commands = await context.parts.temporalCommands();
    return context.show({ commands }, () => commands.join("\n"));
  }
  const changes = await context.parts.setupTemporal();
  context.show({ changes }, () => (changes.length === 0 ? "The namespace is ready; nothing had to be changed." : changes.join("\n")));
}
