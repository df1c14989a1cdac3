/** How `drover catalog-manager ...` is declared. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function managerCommands(program: Command, answer: Answer): void {
  const summary = "Reach the catalogs of other hubs and of Parallels DevOps services: look, pull, push";
  const group = declareGroup(program, { name: "catalog-manager", summary });
  for (const declaration of [...reading, ...changing, ...passing]) declare(group, declaration, answer);
}

const secret = [
  ["--credentials-file <path>", "file with the line api_key=..., or the lines username=... and password=...; - is standard input"],
  ["--credentials-env <name>", "variable that holds the same"],
] as const;

const reading: readonly Declaration[] = [
  {
    usage: "list",
    summary: "List the catalog managers that you may use",
    examples: ["drover catalog-manager list"],
    run: async () => (await import("./managers.ts")).listManagers,
  },
  {
    usage: "show <manager>",
    summary: "Show a catalog manager (name or id), without its credentials",
    examples: ["drover catalog-manager show head-office"],
    run: async () => (await import("./managers.ts")).showManager,
  },
  {
    usage: "images <manager>",
    summary: "List the images of another catalog that you may see",
    examples: ["drover catalog-manager images head-office"],
    run: async () => (await import("./managers.ts")).listImages,
  },
];

const changing: readonly Declaration[] = [
  {
    usage: "add <name> <url>",
    summary: "Keep a catalog manager, once its catalog answered with its credentials",
    options: [
      ...secret,
      ["--global", "for everybody of the project, not only for you"],
      ["--claim <claim>", "only for holders of this claim; may be given several times", "several"],
    ],
    examples: ["drover catalog-manager add head-office https://drover.example.com --credentials-file key.txt --global"],
    run: async () => (await import("./managers.ts")).addManager,
  },
  {
    usage: "edit <manager>",
    summary: "Change a catalog manager, once its catalog answered",
    options: [
      ["--name <name>", "another name"],
      ["--url <url>", "another address; needs its credentials anew"],
      ...secret,
      ["--global", "for everybody of the project"],
      ["--own", "for its owner only"],
      ["--claim <claim>", "only for holders of this claim; may be given several times", "several"],
      ["--active", "let it be used"],
      ["--no-active", "keep it, and let nobody use it"],
    ],
    examples: ["drover catalog-manager edit head-office --no-active", "drover catalog-manager edit head-office --credentials-env NEW_KEY"],
    run: async () => (await import("./managers.ts")).editManager,
  },
  {
    usage: "remove <manager>",
    summary: "Forget a catalog manager and its credentials; what came through it stays",
    examples: ["drover catalog-manager remove head-office"],
    run: async () => (await import("./managers.ts")).removeManager,
  },
];

const passing: readonly Declaration[] = [
  {
    usage: "pull <manager> <image>",
    summary: "Make a machine from an image of another catalog",
    options: [
      ["--machine <name>", "what the machine is to be called"],
      ["--host <host>", "on this host and no other (name or id)"],
      ["--cpus <count>", "virtual CPUs"],
      ["--memory <size>", "memory, such as 8G"],
      ["--no-start", "make it and leave it stopped"],
    ],
    waits: true,
    examples: ["drover catalog-manager pull head-office macos:15.2 --machine build-1"],
    run: async () => (await import("./managers.ts")).pullThrough,
  },
  {
    usage: "push <manager> <bundle> <catalogId>",
    summary: "Publish a bundle of a host in another catalog",
    options: [
      ["--host <host>", "the host that has the bundle (name or id)"],
      ["--connection-file <path>", "file with the store that both sides reach, as provider=...;bucket=...; - is standard input"],
      ["--connection-env <name>", "variable that holds the same"],
      ["--version <version>", "name of the version (latest)"],
      ["--arch <architecture>", "arm64 or x86_64; the bundle's own without it"],
      ["--tag <tag>", "a tag; may be given several times", "several"],
      ["--description <text>", "what the image is"],
      ["--role <role>", "only holders of one of these roles may have it there", "several"],
      ["--claim <claim>", "only holders of one of these claims may have it there", "several"],
      ["--replace", "point an existing version to this content"],
    ],
    waits: true,
    examples: [
      "drover catalog-manager push head-office /Users/ci/Parallels/macOS.macvm macos --version 15.2 --host mac-1 --connection-file store.txt",
    ],
    run: async () => (await import("./managers.ts")).pushThrough,
  },
];
