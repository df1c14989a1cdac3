/** `drover operation ...` */
import type { Command } from "commander";
import type { Decision } from "../../domain/operations/rules.ts";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function operationCommands(program: Command, answer: Answer): void {
  const group = declareGroup(program, { name: "operation", summary: "Look at operations, wait for them, mend or cancel them" });
  for (const declaration of [...looking, ...waiting, ...mending]) declare(group, declaration, answer);
}

const id = "019a9f3c-5d7e-7c1b-9a55-0d7f6d1f2a10";
const timeout = [["--timeout <duration>", "how long to wait, such as 90s or 2h"]] as const;

const looking: readonly Declaration[] = [
  {
    usage: "list",
    summary: "List operations, the latest first",
    options: [
      ["--state <state>", "only those in this state, such as running, parked or failed"],
      ["--verb <verb>", "only those that do this, such as push or start"],
      ["--machine <machine>", "only those on this machine (name or id)"],
      ["--host <host>", "only those on this host (name or id)"],
      ["--image <image>", "only those about this image (catalogId/version/architecture)"],
      ["--limit <count>", "how many (50)"],
    ],
    examples: ["drover operation list --state parked"],
    run: async () => (await import("./show.ts")).listOperations,
  },
  {
    usage: "show <operation>",
    summary: "Show an operation and its steps",
    examples: [`drover operation show ${id}`],
    run: async () => (await import("./show.ts")).showOperation,
  },
];

const waiting: readonly Declaration[] = [
  {
    usage: "watch <operation>",
    summary: "Show the progress of an operation until it ends",
    options: timeout,
    examples: [`drover operation watch ${id}`],
    run: async () => (await import("./show.ts")).watchOperation,
  },
  {
    usage: "wait <operation>",
    summary: "Wait silently until an operation ends; the exit code tells how",
    options: timeout,
    examples: [`drover operation wait ${id} --timeout 10m`],
    run: async () => (await import("./show.ts")).waitForOperation,
  },
  {
    usage: "cancel <operation>",
    summary: "Cancel an operation and wait until what it did is undone",
    options: [["--detach", "do not wait for the undo"], ...timeout],
    examples: [`drover operation cancel ${id}`],
    run: async () => (await import("./show.ts")).cancelOperation,
  },
];

const decided = (word: Decision, summary: string): Declaration => ({
  usage: `${word} <operation>`,
  summary,
  options: [["--detach", "do not wait for the operation"], ...timeout],
  examples: [`drover operation ${word} ${id}`],
  run: async () => (await import("./decide.ts")).decided(word),
});

const mending: readonly Declaration[] = [
  decided("retry", "Try a parked step again, or begin the next attempt of a failed one now"),
  decided("skip", "Go on without a parked step, where it may be left out"),
  decided("abort", "Give up at a parked step and wait until what was done is undone; of a cancelled operation, the wait for a lost host"),
];
