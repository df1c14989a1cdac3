/**
 * The login of this user: one file of mode 0600, below XDG_CONFIG_HOME or in DROVER_CONFIG_DIR.
 *
 * The one idea: the file appears whole and is never readable by others, not even for a moment.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { usageFault } from "../problem.ts";

const StoredLogin = z.object({
  url: z.string(),
  username: z.string(),
  token: z.string(),
  expiresAt: z.iso.datetime().transform((text) => new Date(text)),
  /** Of a workload it is not. */
  renewable: z.boolean().optional(),
});
export type StoredLogin = z.infer<typeof StoredLogin>;

type Variables = Readonly<Record<string, string | undefined>>;

/** Null without any of the three variables: a program that gives no HOME means nobody's login. */
export function loginFile({ DROVER_CONFIG_DIR: own, XDG_CONFIG_HOME: shared, HOME: home }: Variables): string | null {
  const folder = own || (shared ? join(shared, "drover") : home ? join(home, ".config", "drover") : null);
  return folder === null ? null : join(folder, "login.json");
}

/** `null` where nobody logged in, or where the file cannot be read as a login. */
export async function readLogin(env: Variables): Promise<StoredLogin | null> {
  const file = loginFile(env);
  return file === null ? null : readJson(file, StoredLogin);
}

export async function writeLogin(env: Variables, login: StoredLogin): Promise<string> {
  const file = loginFile(env);
  if (file === null) throw usageFault("There is no folder for the login: set HOME or DROVER_CONFIG_DIR.", "drover login");
  await writePrivate(file, JSON.stringify(login));
  return file;
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
