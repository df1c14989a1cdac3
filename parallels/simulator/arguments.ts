/** Command lines as Parallels' commands read them: options and handles in any order, `--opt value` or `--opt=value`, short options in a bunch. */
import { failure } from "./failure.ts";

/** `flag` takes no value, `value` takes the next word, `choice` takes one only in the form `--opt=value`. */
export type Options = Readonly<Record<string, "flag" | "value" | "choice">>;

export interface Parsed {
  readonly words: readonly string[];
  readonly has: (name: string) => boolean;
  readonly value: (name: string) => string | null;
}

export function parseArguments(argv: readonly string[], options: Options, short: Readonly<Record<string, string>> = {}): Parsed {
  const words: string[] = [];
  const given = new Map<string, string>();
  const rest = [...argv];
  const take = (name: string, shown: string, inline: string | undefined) => {
    const kind = options[name];
    if (kind === undefined) throw failure(`Unrecognized option '${shown}'`, 1);
    if (kind !== "value") return void given.set(name, inline ?? "");
    const value = inline ?? rest.shift();
    if (value === undefined) throw failure(`Option '${shown}' requires an argument.`, 1);
    given.set(name, value);
  };

  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word.startsWith("--")) {
      const [name = "", ...inline] = word.slice(2).split("=");
      take(name, word, inline.length > 0 ? inline.join("=") : undefined);
    } else if (/^-[A-Za-z]/.test(word)) {
      for (const letter of word.slice(1)) take(short[letter] ?? letter, `-${letter}`, undefined);
    } else {
      words.push(word);
    }
  }
  return { words, has: (name) => given.has(name), value: (name) => given.get(name) ?? null };
}
