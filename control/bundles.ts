/**
 * Whose a path on a host is.
 *
 * The one idea: bundles of several projects lie in one folder of a host, so a path is taken only where no machine that the caller may not reach lies in it
 * or around it. To that caller there is nothing at such a path.
 */
import { bundlesOfOthers } from "../db/bundles.ts";
import type { Database } from "../db/connect.ts";
import type { Reader } from "../domain/access/rules.ts";
import { overlaps } from "../domain/hosts/paths.ts";
import { FaultError } from "../domain/errors.ts";

export async function mustBeOwnPath(tx: Database, { hostId, path }: { hostId: string; path: string }, reader: Reader): Promise<void> {
  const others = await bundlesOfOthers(tx, hostId, reader);
  if (!others.some((bundle) => overlaps(path, bundle))) return;
  throw new FaultError({ code: "bundle_not_found", message: `There is nothing at ${path}.`, subject: path });
}
