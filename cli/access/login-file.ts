/**
 * The login of this user: one file of mode 0600, below XDG_CONFIG_HOME or in DROVER_CONFIG_DIR.
 *
 * The one idea: the file appears whole and is never readable by others, not even for a moment.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";

const StoredLogin = z.object({
  url: z.string(),
  username: z.string(),
  token: z.string(),
  expiresAt: z.iso.datetime().transform((text) => new Date(text)),
});
export type StoredLogin = z.infer<typeof StoredLogin>;

type Variables = Readonly<Record<string, string | undefined>>;

export function configFolder(env: Variables): string {
  return env["DROVER_CONFIG_DIR"] || join(env["XDG_CONFIG_HOME"] || join(env["HOME"] || homedir(), ".config"), "drover");
}
export const loginFile = (env: Variables): string => join(configFolder(env), "login.json");

/** `null` where nobody logged in, or where the file cannot be read as a login. */
export const readLogin = async (env: Variables): Promise<StoredLogin | null> => readJson(loginFile(env), StoredLogin);

export async function writeLogin(env: Variables, login: StoredLogin): Promise<string> {
  await writePrivate(loginFile(env), JSON.stringify(login));
  return loginFile(env);
}

export async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | null> {
  try {
    return schema.safeParse(JSON.parse(await readFile(file, "utf8"))).data ?? null;
  } catch {
    return null;
  }
}

export async function writePrivate(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const aside = `${file}.${process.pid}`;
  await writeFile(aside, `${text}\n`, { mode: 0o600 });
  await rename(aside, file);
}
