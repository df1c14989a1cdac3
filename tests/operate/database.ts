/**
 * A PostgreSQL of one's own that can be killed, taken away and brought back, on the same address and with the same data.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { outsideOf } from "../../deploy/embedded/postgres-place.ts";
import { startPostgres } from "../../deploy/embedded/postgres.ts";
import { freePort } from "../../deploy/ports.ts";

export interface DatabaseServer {
  readonly url: string;
  /** With -9; it is started again at once, as a service manager does. */
  kill(): void;
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function openDatabaseServer(): Promise<DatabaseServer> {
  const home = await mkdtemp(join(tmpdir(), "drover-database-"));
  await chmod(home, 0o711); // As root, PostgreSQL runs as a user who must pass through.
  const port = await freePort();
  // Durable: what was acknowledged must be there after a kill.
  const begin = () => startPostgres({ home, port });
  let running = await begin();
  return {
    url: running.url,
    kill: () => {
      const pid = running.pid();
      if (pid === null) throw new Error("PostgreSQL does not run.");
      process.kill(pid, "SIGKILL");
    },
    stop: () => running.stop(),
    start: async () => void (running = await begin()),
    close: async () => {
      await running.stop();
      for (const folder of [await outsideOf(home), home]) if (folder !== null) await rm(folder, { recursive: true, force: true });
    },
  };
}
