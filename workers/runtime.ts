/**
 * Temporal's native core in a process with a worker: it logs as we do, and its metrics are served beside ours.
 *
 * The one idea: the core is one per process and takes its settings once, before any worker exists; signals stay ours. Its own handling of Ctrl-C would
 * stop the worker at once, and a task on its way here would be lost until its heartbeat is missed.
 */
import { DefaultLogger, Runtime, type LogMetadata } from "@temporalio/worker";
import type { Logger } from "pino";
import { freePort } from "../deploy/ports.ts";

/** Once per process, before any worker: logs as ours, metrics of Temporal's core on a port that only `/metrics` reads. */
export async function installRuntime(healthPort: number, log: Logger): Promise<number | null> {
  if (healthPort === 0) {
    Runtime.install({ logger: temporalLogger(log), shutdownSignals: [] });
    return null;
  }
  const port = await freePort();
  Runtime.install({
    logger: temporalLogger(log),
    shutdownSignals: [],
    telemetryOptions: { metrics: { prometheus: { bindAddress: `127.0.0.1:${port}` } } },
  });
  return port;
}

/** Its everyday talk, such as the bundler's list of modules, is for whoever looks for a mistake. */
export function temporalLogger(log: Logger): DefaultLogger {
  const levels = { TRACE: "trace", DEBUG: "debug", INFO: "debug", WARN: "warn", ERROR: "error" } as const;
  return new DefaultLogger("INFO", ({ level, message, meta }) => {
    log[levels[level]]({ event: "temporal", ...told(meta) }, message);
  });
}

/** A worker's own facts without its long list of options. */
function told(meta: LogMetadata | undefined): Record<string, unknown> {
  const { options: _options, ...rest } = meta ?? {};
  return rest;
}
