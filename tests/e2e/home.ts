/**
 * A folder, ports and variables for an embedded stack of one's own, whoever wants it.
 *
 * The one idea: nothing of it is shared with another stack on the same computer, and all of it goes with `remove`.
 */
import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { outsideOf } from "../../deploy/embedded/postgres-place.ts";
import { freePorts } from "../../deploy/ports.ts";
import { removeFolder } from "../../images/files.ts";

const ports = [
  "API_PORT",
  "GATEWAY_PORT",
  "GATEWAY_GRPC_PORT",
  "HUB_HEALTH_PORT",
  "GATEWAY_HEALTH_PORT",
  "POSTGRES_PORT",
  "TEMPORAL_PORT",
  "TEMPORAL_UI_PORT",
];

export interface StackHome {
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  remove(): Promise<void>;
}

export async function openStackHome(prefix: string, variables: Readonly<Record<string, string>>): Promise<StackHome> {
  const home = await mkdtemp(join(tmpdir(), prefix));
  await chmod(home, 0o711); // As root, PostgreSQL runs as a user who must pass through.
  const free = await freePorts(ports.length);
  const chosen = Object.fromEntries(ports.map((name, index) => [name, String(free[index])]));
  // A small computer's disk is not a Mac's: what is kept free on one would leave nothing here.
  const small = { SYSTEM_RESERVED_DISK: "0", CATALOG_CACHE_KEEP_FREE_DISK_SPACE: "0" };
  return {
    home,
    // A test runner has a BASE_URL and a MODE of its own.
    env: { ...process.env, BASE_URL: "", MODE: "", ...chosen, ...small, DROVER_HOME: home, ...variables },
    remove: async () => {
      for (const folder of [await outsideOf(home), home]) if (folder !== null) await removeFolder(folder);
    },
  };
}
