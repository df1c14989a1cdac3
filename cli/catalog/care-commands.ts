/** `drover image tag|untag|edit|taint|untaint|revoke`, `drover image retention ...`, `drover store gc|check|scrub`. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function imageCareCommands(group: Command, answer: Answer): void {
  for (const declaration of changes) declare(group, declaration, answer);
  const retention = declareGroup(group, { name: "retention", summary: "Say which versions are kept, see what would go, delete the rest" });
  for (const declaration of retentions) declare(retention, declaration, answer);
}

export function storeCareCommands(group: Command, answer: Answer): void {
  for (const declaration of storeCares) declare(group, declaration, answer);
}

const changes: readonly Declaration[] = [
  {
    usage: "tag <image> <tag>",
    summary: "Point a tag to a version; the version of this architecture that had it loses it",
    examples: ["drover image tag ubuntu:24.04/arm64 stable"],
    run: async () => (await import("./change.ts")).tagImage,
  },
  {
    usage: "untag <image> <tag>",
    summary: "Take a tag from a version",
    examples: ["drover image untag ubuntu:24.04/arm64 stable"],
    run: async () => (await import("./change.ts")).untagImage,
  },
  {
    usage: "edit <image>",
    summary: "Change what is told of a version, and who may have it",
    options: [
      ["--description <text>", "what the image is"],
      ["--role <role>", "only holders of one of these roles may have it", "several"],
      ["--claim <claim>", "only holders of one of these claims may have it", "several"],
      ["--open", "everybody may have it: no roles, no claims"],
      ["--min-cpus <count>", "vCPU that a machine of it needs at least"],
      ["--min-memory <size>", "memory that it needs at least, such as 4G"],
      ["--min-disk <size>", "disk that it needs at least, such as 64G"],
    ],
    examples: ["drover image edit ubuntu:24.04 --description 'with Docker' --role builder", "drover image edit ubuntu:24.04 --open"],
    run: async () => (await import("./change.ts")).editImage,
  },
  {
    usage: "taint <image>",
    summary: "Hold a version back: nobody gets it until the taint is removed",
    examples: ["drover image taint ubuntu:24.04"],
    run: async () => (await import("./change.ts")).taintImage,
  },
  {
    usage: "untaint <image>",
    summary: "Hand a tainted version out again",
    examples: ["drover image untaint ubuntu:24.04"],
    run: async () => (await import("./change.ts")).untaintImage,
  },
  {
    usage: "revoke <image>",
    summary: "Revoke a version for good",
    examples: ["drover image revoke ubuntu:24.04"],
    run: async () => (await import("./change.ts")).revokeImage,
  },
];

const retentions: readonly Declaration[] = [
  {
    usage: "list",
    summary: "List the rules",
    examples: ["drover image retention list"],
    run: async () => (await import("./retention.ts")).listRules,
  },
  {
    usage: "set [catalogId]",
    summary: "Set the rule of a catalog id, or that of all which have none of their own",
    options: [
      ["--keep-newest <count>", "so many of the newest versions stay, per architecture"],
      ["--keep-pulled <days>", "versions that were pulled, or made, within so many days stay"],
      ["--tagged-too", "tagged versions may go like any other; without it they stay"],
    ],
    examples: ["drover image retention set --keep-newest 10 --keep-pulled 30", "drover image retention set ubuntu --keep-newest 3"],
    run: async () => (await import("./retention.ts")).setRule,
  },
  {
    usage: "remove [catalogId]",
    summary: "Remove a rule",
    examples: ["drover image retention remove ubuntu"],
    run: async () => (await import("./retention.ts")).removeRule,
  },
  {
    usage: "apply",
    summary: "Delete the versions that no rule keeps",
    options: [["--dry-run", "only tell which would go, and why"]],
    waits: true,
    examples: ["drover image retention apply --dry-run", "drover image retention apply"],
    run: async () => (await import("./retention.ts")).applyRules,
  },
];

const storeCares: readonly Declaration[] = [
  {
    usage: "gc [store]",
    summary: "Remove what no image needs from a store (name or id; the default store without it)",
    options: [["--dry-run", "only tell what would be freed"]],
    waits: true,
    examples: ["drover store gc --dry-run", "drover store gc depot"],
    run: async () => (await import("./collect.ts")).collectStore,
  },
  {
    usage: "check [store]",
    summary: "Look whether a store holds every image whole; exit code 6 when it does not",
    options: [["--read-data [share]", "read the packs too: all of them, or a share such as 5%"]],
    waits: true,
    examples: ["drover store check", "drover store check depot --read-data=5%"],
    run: async () => (await import("./collect.ts")).checkStore,
  },
  {
    usage: "scrub [store]",
    summary: "Read the next share of a store, and have what is broken healed by hosts that have the images",
    options: [["--share <share>", "how much is read, such as 10%; the hub's own share without it"]],
    waits: true,
    examples: ["drover store scrub", "drover store scrub depot --share 100%"],
    run: async () => (await import("./collect.ts")).scrubStore,
  },
];
