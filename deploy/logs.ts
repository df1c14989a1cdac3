/**
 * One log file per child, bounded: when it is full it becomes `<name>.1.log`, and the one before is dropped.
 *
 * The one idea: what a child says is cut into lines here, so that files, the terminal and messages about a failed start all speak of the same lines. What it
 * says at once is written at once, before anybody hears of it, so lines survive a kill of this process and thousands of them cost few writes.
 */
import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";

/** Two files of this size per child keep a day of a busy stack and never fill a disk. */
const fullBytes = 8 * 1024 * 1024;
const keptLines = 20;

export interface ChildLog {
  readonly path: string;
  /** Takes every line of the stream. */
  readonly follow: (stream: Readable) => void;
  readonly note: (line: string) => void;
  /** The last lines, for the message about a start that failed. */
  readonly tail: () => string[];
}

export function openLog(folder: string, name: string, onLine: (line: string) => void): ChildLog {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.log`);
  const last: string[] = [];
  let bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;

  const take = (lines: readonly string[]) => {
    if (lines.length === 0) return;
    last.push(...lines.slice(-keptLines));
    last.splice(0, last.length - keptLines);
    if (bytes > fullBytes) {
      renameSync(path, join(folder, `${name}.1.log`));
      bytes = 0;
    }
    const text = `${lines.join("\n")}\n`;
    bytes += Buffer.byteLength(text);
    written(path, text);
    for (const line of lines) onLine(line);
  };
  return { path, note: (line) => take([line]), tail: () => [...last], follow: (stream) => followLines(stream, take) };
}

function followLines(stream: Readable, take: (lines: readonly string[]) => void): void {
  const decoder = new TextDecoder();
  let begun = "";
  stream.on("data", (part: Buffer) => {
    const lines = (begun + decoder.decode(part, { stream: true })).split(/\r?\n/);
    begun = lines.pop() ?? "";
    take(lines);
  });
  stream.once("end", () => take(begun === "" ? [] : [begun]));
}

/** A full disk must not end the supervisor, which would end every child with it. */
function written(path: string, text: string): void {
  try {
    appendFileSync(path, text, { mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  }
}
