/**
 * `drover reset`: removes all state, here and in /var/lib/drover.
 *
 * The one idea: only a folder that says it is Drover's is removed, and only while nobody holds it.
 */
import { access, rm } from "node:fs/promises";
import { join } from "node:path";
import { FaultError } from "../domain/errors.ts";
import { endOldPostgres } from "./embedded/postgres.ts";
import { outsideOf } from "./embedded/postgres-place.ts";
import { holderOf } from "./home.ts";

/** Answers the folders that it removed; none where there is no state. */
export async function reset(home: string): Promise<string[]> {
  if (!(await exists(home))) return [];
  if (!(await exists(join(home, "format.json")))) {
    throw new FaultError({
      code: "home_unknown",
      message: `The folder ${home} is not one of Drover's (it has no format.json); it was left as it is.`,
    });
  }
  const holder = await holderOf(home);
  if (holder !== null) throw new FaultError({ code: "home_in_use", message: `Drover (process ${holder}) runs on ${home}.` });
  await endOldPostgres(home);
  const outside = await outsideOf(home);
  // The id lies in the home: whoever is interrupted in between can start over.
  const folders = outside === null ? [home] : [outside, home];
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
  return folders;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
