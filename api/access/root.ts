/**
 * The root user, whom every hub has from its first start.
 *
 * The one idea: a configured password is in force at each start; without one a random one is made once and told in a file that only its owner reads.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Database } from "../../db/connect.ts";
import { seedRoles } from "../../db/roles.ts";
import { ensureRoot, findUser, rootName } from "../../db/users.ts";
import type { Passwords } from "../../security/passwords.ts";
import { randomWord } from "../../security/secrets.ts";

export interface RootOptions {
  readonly db: Database;
  readonly passwords: Passwords;
  readonly password: string | undefined;
  readonly home: string;
}

/** Answers the file in which the password is told, null where it is configured. */
export async function seedAccess({ db, passwords, password, home }: RootOptions): Promise<string | null> {
  await seedRoles(db);
  const file = join(home, "root-password");
  const wanted = password ?? (await keptPassword(file));
  const known = await findUser(db, rootName);
  const same = known?.passwordHash ? await passwords.matches(wanted, known.passwordHash) : false;
  await ensureRoot(db, { id: crypto.randomUUID(), passwordHash: same ? null : await passwords.hash(wanted) });
  return password === undefined ? file : null;
}

async function keptPassword(file: string): Promise<string> {
  const kept = (await readFile(file, "utf8").catch(() => "")).trim();
  if (kept !== "") return kept;
  const made = randomWord(24);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${made}\n`, { mode: 0o600 });
  return made;
}
