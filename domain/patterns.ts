/**
 * Regular expressions that callers write: whether one may be used, and what it compiles to. Pure.
 *
 * The one idea: a pattern is judged once, where it is given. One that does not compile, is very long, or repeats a repetition (which can take for ever on a
 * text that almost fits) is refused with a reason.
 */

/** Nobody writes a longer one by hand. */
export const longestPattern = 128;

export type Compiled = { readonly ok: true; readonly pattern: RegExp } | { readonly ok: false; readonly reason: string };

/** `(?i)` at its beginning is taken as Go takes it: any case. */
export function compiled(written: string, { anyCase = false }: { anyCase?: boolean } = {}): Compiled {
  const source = written.replace(/^\(\?i\)/, "");
  if (source.length > longestPattern) return { ok: false, reason: `it has more than ${longestPattern} characters` };
  if (/([+*}])\s*\)\s*[+*{]/.test(source)) return { ok: false, reason: "it repeats a repetition" };
  try {
    return { ok: true, pattern: new RegExp(source, anyCase || source !== written ? "i" : "") };
  } catch {
    return { ok: false, reason: "it is no regular expression" };
  }
}
