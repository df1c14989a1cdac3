/**
 * The last lines that a process wrote to its log, and those that come.
 *
 * The one idea: what is kept passed the same comb as what is written, and both the store and each reader's queue are bounded: who reads too slowly is told
 * how many lines were left out.
 */
import type { DestinationStream } from "pino";
import type { LogLines } from "../api/ports.ts";

/** An hour of a busy API; a screen holds fifty. */
const mostLines = 5_000;
/** Stack traces are long: what is kept never takes more memory than this. */
const mostBytes = 4 * 1024 ** 2;
const longestLine = 64 * 1024;
/** Behind that many, a reader has stopped reading. */
const longestQueue = 1_000;

/** `flushSync`: writes at once what waits to be written together; the log calls it with its last words. */
type To = DestinationStream & { flushSync?(): void };

/** `to` writes to the given stream and keeps what was written. */
export function keepingLines(stream: To): { to: To; lines: LogLines } {
  const kept: string[] = [];
  const readers = new Set<(line: string) => void>();
  let keptBytes = 0;
  const keep = (written: string): void => {
    const line = written.trimEnd().slice(0, longestLine);
    kept.push(line);
    keptBytes += line.length;
    while (kept.length > mostLines || keptBytes > mostBytes) keptBytes -= kept.shift()?.length ?? 0;
    for (const reader of readers) reader(line);
  };
  const to: To = {
    write: (written) => {
      stream.write(written);
      keep(written);
    },
    flushSync: () => stream.flushSync?.(),
  };
  const lines: LogLines = {
    recent: (most) => (most === 0 ? [] : kept.slice(-(most ?? mostLines))),
    follow: (signal) => following(readers, signal),
  };
  return { to, lines };
}

async function* following(readers: Set<(line: string) => void>, signal: AbortSignal): AsyncGenerator<string> {
  const queue: string[] = [];
  let lost = 0;
  let wake = () => {};
  const take = (line: string): void => {
    if (queue.length < longestQueue) queue.push(line);
    else lost += 1;
    wake();
  };
  const ended = () => wake();
  readers.add(take);
  signal.addEventListener("abort", ended);
  try {
    while (!signal.aborted) {
      const line = queue.shift();
      if (line !== undefined) yield line;
      else if (lost > 0) {
        yield JSON.stringify({ event: "log.lines_lost", lost });
        lost = 0;
      } else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    readers.delete(take);
    signal.removeEventListener("abort", ended);
  }
}
