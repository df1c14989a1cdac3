/** `drover whoami` and `drover logout`: the login as it is, and its end. */
import { rm } from "node:fs/promises";
import type { Context } from "../context.ts";
import { facts } from "../output/table.ts";
import { WhoAmI } from "../wire.ts";
import { loginFile } from "./login-file.ts";

export async function whoami(context: Context): Promise<void> {
  const client = await context.hub();
  const actor = await client.get("/whoami", WhoAmI);
  const { url, session } = client;
  context.show({ url, source: session.source, ...actor }, () =>
    facts([
      ["hub", url],
      ["user", actor.username],
      ["by", session.source],
    ]),
  );
}

/** Done as well where nobody was logged in. */
export async function logout(context: Context): Promise<void> {
  const file = loginFile(context.env);
  if (file !== null) await rm(file, { force: true });
  context.show({ file }, () => "Logged out.");
}
