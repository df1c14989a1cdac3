/** How `drover cache ...`, `drover prefetch ...` and `drover image prefetch` are declared. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

const selecting = [
  ["--host <host>", "a host (name or id); may be given several times", "several"],
  ["--hosts <label>", "hosts with this label; may be given several times", "several"],
  ["--all", "all hosts that take work and can run the image"],
  ["--at-once <count>", "how many hosts fetch at the same time (8)"],
] as const;

/** For the group `image`. */
export const prefetchDeclaration: Declaration = {
  usage: "prefetch <image>",
  summary: "Bring an image into the caches of several hosts",
  options: selecting,
  waits: true,
  examples: ["drover image prefetch ubuntu:24.04 --hosts ci", "drover image prefetch macos:15.2 --all --at-once 20"],
  run: async () => (await import("./prefetch.ts")).prefetch,
};

export function cachingCommands(program: Command, answer: Answer): void {
  const cache = declareGroup(program, { name: "cache", summary: "Look at the images that hosts keep ready, let them go or stay" });
  for (const declaration of caches) declare(cache, declaration, answer);
  const prefetch = declareGroup(program, { name: "prefetch", summary: "Bring images to hosts before anybody asks, by policy" });
  for (const declaration of policies) declare(prefetch, declaration, answer);
}

const host = ["--host <host>", "the host (name or id)"] as const;

const caches: readonly Declaration[] = [
  {
    usage: "list",
    summary: "List the images in the caches of hosts",
    options: [host],
    examples: ["drover cache list", "drover cache list --host mac-1"],
    run: async () => (await import("../hosts/cache.ts")).listCache,
  },
  {
    usage: "prune [images...]",
    summary: "Remove images from a host's cache that nobody uses and nobody pinned",
    options: [
      host,
      ["--unused-for <duration>", "only what was not used for so long"],
      ["--dry-run", "only tell what would go, with its size"],
    ],
    waits: true,
    examples: ["drover cache prune --host mac-1 --unused-for 7d --dry-run", "drover cache prune ubuntu:24.04 --host mac-1"],
    run: async () => (await import("../hosts/cache.ts")).pruneCache,
  },
  {
    usage: "pin <image>",
    summary: "Keep an image in a host's cache until it is unpinned",
    options: [host],
    waits: true,
    examples: ["drover cache pin ubuntu:24.04 --host mac-1"],
    run: async () => (await import("../hosts/cache.ts")).pinImage,
  },
  {
    usage: "unpin <image>",
    summary: "Let a pinned image be evicted again",
    options: [host],
    waits: true,
    examples: ["drover cache unpin ubuntu:24.04 --host mac-1"],
    run: async () => (await import("../hosts/cache.ts")).unpinImage,
  },
];

const policies: readonly Declaration[] = [
  {
    usage: "list",
    summary: "List the policies",
    examples: ["drover prefetch list"],
    run: async () => (await import("./prefetch.ts")).listPolicies,
  },
  {
    usage: "add <name> <image>",
    summary: "Bring an image to hosts whenever it is published, or again and again",
    options: [...selecting, ["--on-publish", "whenever a new version is published"], ["--every <duration>", "again and again, such as 1d"]],
    examples: ["drover prefetch add ci-linux ubuntu --hosts ci --on-publish", "drover prefetch add nightly macos:15.2 --all --every 1d"],
    run: async () => (await import("./prefetch.ts")).addPolicy,
  },
  {
    usage: "remove <policy>",
    summary: "Remove a policy; what it brought stays",
    examples: ["drover prefetch remove nightly"],
    run: async () => (await import("./prefetch.ts")).removePolicy,
  },
];
