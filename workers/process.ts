/**
 * How each of Drover's processes begins and ends: configuration, log, signals, one way to fail.
 *
 * The one idea: a process is a function of its configuration, a log and a signal. The first SIGTERM or SIGINT asks it to drain; a second one ends it.
 */
import { destination, type Logger } from "pino";
import { explain, loadConfig } from "../deploy/configuration.ts";
import type { Config } from "../domain/config/schema.ts";
import type { LogLines } from "../api/ports.ts";
import { useProxies } from "../stores/proxies.ts";
import { openLog, toldError } from "./log.ts";
import { keepingLines } from "./recent-lines.ts";

export interface Running {
  readonly config: Config;
  readonly log: Logger;
  /** What was written to it last. */
  readonly logs: LogLines;
  /** Aborted when the process is asked to end. */
  readonly signal: AbortSignal;
}

/** Longer than any process drains, so that this ends only one that hangs. */
const graceMs = 30_000;

/** A line for each request: a write for each of them would cost more than answering it. The last ones are written as the process ends. */
const together = { sync: false, minLength: 8 * 1024, periodicFlush: 50 };

export async function runProcess(name: string, program: (running: Running) => Promise<void>): Promise<void> {
  const end = new AbortController();
  try {
    const config = loadConfig();
    useProxies(config.proxies);
    const { to, lines: logs } = keepingLines(destination({ dest: 1, ...(name === "api" ? together : { sync: true }) }));
    const log = openLog(name, config.logLevel, to);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        if (end.signal.aborted) process.exit(1);
        log.info({ event: "process.ending", signal }, "Asked to end: what runs may finish.");
        end.abort();
        setTimeout(() => process.exit(1), graceMs).unref();
      });
    }
    process.on("unhandledRejection", (error) => outliveLostConnection(error, log));
    process.on("uncaughtException", (error) => crash(error, log));
    await program({ config, log, logs, signal: end.signal });
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(1);
  }
}

/** Node would print the error with all that it carries, such as the values of a query. */
function crash(err: unknown, log: Logger): void {
  try {
    log.fatal({ event: "process.crashed", err }, "The process ends: something failed that nobody foresaw.");
  } finally {
    process.stderr.write(`drover: ${JSON.stringify(toldError(err))}\n`);
    process.exit(1);
  }
}

/**
 * postgres.js asks a new connection for its types beside the query that it was opened for, and nobody hears when that connection is lost at once, as
 * while the database restarts. The query itself is tried again by whoever asked it. Anything else that nobody heard ends the process, as it should.
 */
function outliveLostConnection(error: unknown, log: Logger): void {
  const lost =
    error instanceof Error && "code" in error && typeof error.code === "string" && /^(ECONN|EPIPE|CONNECTION_|57P0)/.test(error.code);
  if (!lost) throw error;
  log.warn({ event: "database.connection_lost", err: error }, "A connection to the database was lost as it was opened.");
}
