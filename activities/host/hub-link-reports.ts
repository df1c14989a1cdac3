/**
 * Sends report lines in the order in which they were said, and keeps trying while the hub is away.
 *
 * The one idea: one request at a time, so order holds by itself; lines may be sent twice, since the hub counts each once. What does not fit the
 * memory is given up from the oldest on, states of steps last.
 */
import { setTimeout as after } from "node:timers/promises";
import type { Logger } from "pino";
import { FaultError, isRetryable } from "../../domain/errors.ts";
import type { ReportAnswer, ReportLine } from "../../domain/hosts/schema.ts";

export interface ReportQueue {
  /** Settles when the hub took the lines, or will never: it refused them, or they were given up. Never fails. */
  report(lines: readonly ReportLine[]): Promise<ReportAnswer>;
  /** Sends what is left, but waits no longer than this for the hub. */
  close(withinMs: number): Promise<void>;
}

interface Waiting {
  readonly line: ReportLine;
  readonly bytes: number;
  readonly settle: (answer: ReportAnswer) => void;
}

/** Of one request; the hub takes 1000 lines and 16 MiB. */
const batchLines = 500;
const batchBytes = 4 * 1024 ** 2;
/** What a chatty script writes in minutes without a hub. */
const keptBytes = 32 * 1024 ** 2;
const firstPauseMs = 200;
/** A hub that is back is noticed within a report's interval. */
const longestPauseMs = 5_000;
const nothing: ReportAnswer = { accepted: 0, removeMachines: [] };

export function reportQueue(post: (lines: ReportLine[], signal: AbortSignal) => Promise<ReportAnswer>, log: Logger): ReportQueue {
  const lines = openBuffer();
  const closing = new AbortController();
  let sending: Promise<void> | null = null;

  const sendOne = async (batch: readonly Waiting[]): Promise<boolean> => {
    try {
      const said = batch.map(({ line }) => line);
      lines.end(batch, await post(said, closing.signal));
      return true;
    } catch (error) {
      if (!isFinal(error)) return false;
      log.error({ event: "report.refused", lines: batch.length, err: error }, "The hub refused a report; its lines are given up.");
      lines.end(batch, nothing);
      return true;
    }
  };
  const send = async () => {
    let pauseMs = firstPauseMs;
    for (let batch = lines.next(); batch.length > 0 && !closing.signal.aborted; batch = lines.next()) {
      if (await sendOne(batch)) {
        pauseMs = firstPauseMs;
        continue;
      }
      await after(pauseMs, undefined, { signal: closing.signal }).catch(() => {});
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    }
  };
  return {
    report: async (said) => {
      if (closing.signal.aborted) return nothing;
      const answers = said.map(lines.add);
      sending ??= send().finally(() => (sending = null));
      return (await Promise.all(answers)).at(-1) ?? nothing;
    },
    close: async (withinMs) => {
      const timer = setTimeout(() => closing.abort(), withinMs);
      await sending;
      clearTimeout(timer);
      closing.abort();
      lines.end(lines.all(), nothing);
    },
  };
}

/** The lines that wait, in order, within a bound. */
function openBuffer() {
  const waiting: Waiting[] = [];
  let bytes = 0;
  const end = (ended: readonly Waiting[], answer: ReportAnswer) => {
    for (const one of ended) {
      const index = waiting.indexOf(one);
      if (index < 0) continue;
      waiting.splice(index, 1);
      bytes -= one.bytes;
      one.settle(answer);
    }
  };
  const add = (line: ReportLine) =>
    new Promise<ReportAnswer>((settle) => {
      // Only the newest inventory says what is.
      const outdated = line.kind === "inventory" ? waiting.filter((one) => one.line.kind === "inventory") : [];
      end(outdated, nothing);
      const size = JSON.stringify(line).length;
      waiting.push({ line, bytes: size, settle });
      bytes += size;
      while (bytes > keptBytes && waiting.length > 1)
        end(
          [waiting.find((one) => one.line.kind !== "step") ?? waiting[0]].filter((one) => one !== undefined),
          nothing,
        );
    });
  const next = () => {
    let sum = 0;
    const full = waiting.findIndex((one, index) => index >= batchLines || (index > 0 && (sum += one.bytes) > batchBytes));
    return waiting.slice(0, full < 0 ? waiting.length : full);
  };
  return { add, end, next, all: () => waiting.slice() };
}

/** A token that is refused may be a clock that is off or a hub that restarts: worth trying on. */
const isFinal = (error: unknown): boolean =>
  error instanceof FaultError && error.fault.code !== "unauthenticated" && !isRetryable(error.fault.code);
