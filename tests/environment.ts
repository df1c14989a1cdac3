/**
 * What all suites share: one PostgreSQL and one Temporal, on free ports, in a folder that goes away.
 *
 * The one idea: servers are started once, isolation is by name; a suite makes its own database (`createDatabase`) and its own queue names.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { outsideOf } from "../deploy/embedded/postgres-place.ts";
import { startPostgres } from "../deploy/embedded/postgres.ts";
import { startTemporal } from "../deploy/embedded/temporal.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Address of a database on the shared server; give it to `createDatabase` for one of your own. */
    databaseUrl: string;
    /** Host and port of the shared Temporal server, whose namespace is `drover`. */
    temporalAddress: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = await mkdtemp(join(tmpdir(), "drover-tests-"));
  // As root, PostgreSQL runs as a user who must pass through.
  await chmod(home, 0o711);
  const onLine = (line: string) => process.stderr.write(`${line}\n`);
  const [database, temporal] = await Promise.all([
    startPostgres({ home, durable: false, onLine }),
    startTemporal({ home, lasting: false, onLine }),
  ]);
  project.provide("databaseUrl", database.url);
  project.provide("temporalAddress", temporal.address);
  return async () => {
    await Promise.all([database.stop(), temporal.stop()]);
    for (const folder of [await outsideOf(home), home]) if (folder !== null) await rm(folder, { recursive: true, force: true });
  };
}
