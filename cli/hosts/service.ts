/** `drover host install|uninstall`: whether this computer's host worker runs by itself, from the start of the computer on. */
import { z } from "zod";
import type { Context } from "../context.ts";
import { given } from "../values.ts";

const Installing = z.object({ user: z.string().optional(), print: z.boolean().default(false) });

export async function installHost(context: Context, _: readonly string[], raw: unknown): Promise<void> {
  const { user, print } = given(Installing, raw);
  const service = context.parts.service();
  if (print) {
    const file = await service.file(user);
    return context.show(file, () => `# ${file.path}\n${file.text}`);
  }
  const installed = await service.install(user);
  const words = installed.changed ? "was written and its worker started" : "stands as it is wanted and its worker runs";
  context.show(installed, () => `${installed.path} ${words}, as ${installed.user}.`);
}

export async function uninstallHost(context: Context): Promise<void> {
  const removed = await context.parts.service().uninstall();
  context.show(removed, () =>
    removed.changed ? `${removed.path} is gone, and its worker ended.` : "There was no service of Drover here.",
  );
}
