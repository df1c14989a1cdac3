/**
 * JSON as Parallels' commands print it: noise may stand before it, and control characters in it.
 *
 * The one idea: the text is parsed as it is first; only when that fails is it cut to what lies between its outermost brackets.
 */
import { FaultError } from "../../domain/errors.ts";

/** `null` for no output at all, which is how `snapshot-list` says that there are none. */
export function jsonIn(output: string, command: string): unknown {
  const text = output.trim();
  if (text === "") return null;
  const attempts = [text, between(text, "[", "]"), between(text, "{", "}")].toSorted((one, other) => other.length - one.length);
  for (const attempt of attempts) {
    for (const candidate of [attempt, attempt.replace(/\p{Cc}+/gu, " ")]) {
      const parsed = parsedOrNot(candidate);
      if (parsed) return parsed.value;
    }
  }
  throw unreadable(command, text);
}

export function unreadable(command: string, output: string, cause?: unknown): FaultError {
  const start = output.slice(0, 200).replace(/\s+/g, " ");
  return new FaultError({ code: "prlctl_unreadable", message: `${command} printed what cannot be read: ${start}` }, { cause });
}

function between(text: string, opening: string, closing: string): string {
  const from = text.indexOf(opening);
  const to = text.lastIndexOf(closing);
  return from < 0 || to < from ? "" : text.slice(from, to + 1);
}

function parsedOrNot(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}
