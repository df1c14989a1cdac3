/** `drover key ...`: run them where a hub process runs, with its variables; they use its database and its master key. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function keyCommands(program: Command, answer: Answer): void {
  const group = declareGroup(program, { name: "key", summary: "Show, change, keep and bring back the hub's keys" });
  for (const declaration of [...looking, ...carrying]) declare(group, declaration, answer);
}

const looking: readonly Declaration[] = [
  {
    usage: "show",
    summary: "Show which keys there are, by id and age; never a key",
    examples: ["drover key show"],
    run: async () => (await import("./show.ts")).showKeys,
  },
  {
    usage: "rotate",
    summary: "Make a new key; what older ones wrote can still be read, and nothing stops",
    options: [
      ["--master", "the key that wraps all others"],
      ["--payload", "the key of workflow payloads and of sealed values"],
      ["--signing", "the key of login tokens"],
      ["--grant", "the key of grants of objects"],
    ],
    examples: ["drover key rotate --master", "drover key rotate --payload --signing"],
    run: async () => (await import("./rotate.ts")).rotateKeys,
  },
];

const carrying: readonly Declaration[] = [
  {
    usage: "export",
    summary: "Write the master key, for a safe place outside of this computer",
    options: [
      ["--to <file>", "a new file of mode 0600, instead of standard output"],
      ["--yes", "also where standard output is a terminal"],
    ],
    examples: [
      "drover key export --to /media/safe/drover-master.key",
      "drover key export | gpg --encrypt --recipient ops > drover-master.gpg",
    ],
    run: async () => (await import("./carry.ts")).exportKey,
  },
  {
    usage: "import [file]",
    summary: "Bring a master key back, from a file or standard input",
    examples: ["drover key import /media/safe/drover-master.key", "gpg --decrypt drover-master.gpg | drover key import"],
    run: async () => (await import("./carry.ts")).importKey,
  },
  {
    usage: "forget",
    summary: "Go on without a master key that is lost for good: what it sealed is dropped",
    options: [["--yes", "do it; docs/keys.md says what is lost"]],
    examples: ["drover key forget --yes"],
    run: async () => (await import("./forget.ts")).forgetKeys,
  },
];
