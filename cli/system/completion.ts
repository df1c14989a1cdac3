/**
 * `drover completion`: scripts that complete commands and options in a shell.
 *
 * The one idea: the tree of commands is written into the script as one table from a path of commands to the words that may follow, so that pressing
 * a key starts no process.
 */
import type { Command } from "commander";
import type { Action } from "../declare.ts";
import { usageFault } from "../problem.ts";

export const shells = ["bash", "zsh", "fish"] as const;

export const completion =
  (program: Command): Action =>
  async (context, [word = ""]) => {
    const shell = shells.find((known) => known === word);
    if (shell === undefined)
      throw usageFault(`There is no completion for ${word}: the known shells are ${shells.join(", ")}.`, "drover completion");
    const script = scripts[shell](wordsAfter(program));
    context.show({ shell, script }, () => script);
  };

/** What may follow each path of commands; the root's path is empty. */
export function wordsAfter(command: Command, path: readonly string[] = []): Map<string, readonly string[]> {
  const commands = command.commands.map((one) => one.name());
  const options = [...command.options.flatMap(({ long }) => (long ? [long] : [])), "--help"];
  const found = new Map<string, readonly string[]>([[path.join(" "), [...commands, ...options]]]);
  for (const one of command.commands) for (const [name, words] of wordsAfter(one, [...path, one.name()])) found.set(name, words);
  return found;
}

type Table = ReadonlyMap<string, readonly string[]>;

/** Where the words typed so far lead: each word that names a deeper command is followed, all others are arguments. */
const bashLike = (table: Table) => `
_drover_words() {
  case "$1" in
${[...table].map(([path, words]) => `    "${path}") printf '%s' "${words.join(" ")}" ;;`).join("\n")}
    *) return 1 ;;
  esac
}
_drover_path() {
  local at="" word
  for word in "$@"; do
    if _drover_words "\${at:+$at }$word" > /dev/null; then at="\${at:+$at }$word"; fi
  done
  printf '%s' "$at"
}`;

const scripts: Readonly<Record<(typeof shells)[number], (table: Table) => string>> = {
  bash: (table) => `# Completion of drover for bash.${bashLike(table)}
_drover() {
  local current="\${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=($(compgen -W "$(_drover_words "$(_drover_path "\${COMP_WORDS[@]:1:COMP_CWORD-1}")")" -- "$current"))
}
complete -o default -F _drover drover
`,
  zsh: (table) => `# Completion of drover for zsh.${bashLike(table)}
_drover() {
  local -a found
  found=(\${=$(_drover_words "$(_drover_path "\${(@)words[2,CURRENT-1]}")")})
  compadd -- $found
  _files
}
compdef _drover drover
`,
  fish: (table) => `# Completion of drover for fish.
function __drover_words
    switch "$argv[1]"
${[...table].map(([path, words]) => `        case '${path}'\n            printf '%s\\n' ${words.join(" ")}`).join("\n")}
        case '*'
            return 1
    end
end
function __drover_complete
    set -l at ''
    for word in (commandline -opc)[2..-1]
        set -l deeper (string trim "$at $word")
        if __drover_words "$deeper" > /dev/null
            set at $deeper
        end
    end
    __drover_words "$at"
end
complete -c drover -a '(__drover_complete)'
`,
};
