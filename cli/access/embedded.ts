/**
 * The embedded stack on this computer, whose user may use it without a login.
 *
 * The one idea: whoever may read the file of mode 0600 that the stack writes is its owner; the password stays in the file that it names.
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import { readJson, writePrivate } from "./login-file.ts";
import { logIn } from "./log-in.ts";

const Told = z.object({ url: z.string(), username: z.string(), passwordFile: z.string() });
const Kept = z.object({ url: z.string(), token: z.string(), expiresAt: z.iso.datetime().transform((text) => new Date(text)) });

export interface EmbeddedHub extends z.infer<typeof Told> {
  readonly home: string;
}

/** A token is used until three minutes before its end, so that it outlives what it is sent with: the gateway's connection is given a new one each minute. */
const marginMs = 180_000;
const project = fileURLToPath(new URL("../..", import.meta.url));

/** Where state may lie: what DROVER_HOME says, else in this folder, else in the project's. */
export function homesOf(env: Readonly<Record<string, string | undefined>>, folder: string): string[] {
  const given = env["DROVER_HOME"];
  return given ? [resolve(folder, given)] : [...new Set([join(folder, ".drover"), join(project, ".drover")])];
}

export async function embeddedHub({
  env,
  folder,
}: {
  env: Readonly<Record<string, string | undefined>>;
  folder: string;
}): Promise<EmbeddedHub | null> {
  for (const home of homesOf(env, folder)) {
    const told = await readJson(join(home, "cli.json"), Told);
    if (told) return { ...told, passwordFile: resolve(home, told.passwordFile), home };
  }
  return null;
}

/** The token of the last command while it is good: logging in costs the hub a slow hash. */
export async function embeddedToken(hub: EmbeddedHub, { fresh }: { fresh: boolean }): Promise<string> {
  const file = join(hub.home, "cli-token.json");
  const kept = fresh ? null : await readJson(file, Kept);
  if (kept && kept.url === hub.url && kept.expiresAt.getTime() - marginMs > Date.now()) return kept.token;
  const { token, expiresAt } = await logIn(hub.url, { username: hub.username, password: await passwordOf(hub) });
  await writePrivate(file, JSON.stringify({ url: hub.url, token, expiresAt })).catch(() => undefined); // Only a cache.
  return token;
}

async function passwordOf({ passwordFile }: EmbeddedHub): Promise<string> {
  try {
    return (await readFile(passwordFile, "utf8")).trim();
  } catch (cause) {
    const remedy = "Run `drover` as the user who started the stack, or log in with `drover login`.";
    throw new FaultError(
      { code: "unauthenticated", message: `The password of the embedded stack in ${passwordFile} cannot be read.`, details: { remedy } },
      { cause },
    );
  }
}
