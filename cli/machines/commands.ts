/** `drover machine ...` */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function machineCommands(program: Command, answer: Answer): void {
  const group = declareGroup(program, { name: "machine", summary: "Make machines, use them, retire them" });
  for (const declaration of [...making, ...plainActions, ...changing, ...claiming, ...ending]) declare(group, declaration, answer);
  const snapshots = declareGroup(group, { name: "snapshot", summary: "Keep states of a machine and go back to them" });
  for (const declaration of snapshotting) declare(snapshots, declaration, answer);
}

const sizes = [
  ["--cpus <count>", "virtual CPUs"],
  ["--memory <size>", "memory, such as 8G"],
] as const;

const making: readonly Declaration[] = [
  {
    usage: "create <name>",
    summary: "Make a machine from an image",
    options: [
      ["--image <image>", "catalogId, catalogId:version or catalogId:version/architecture"],
      ["--host <host>", "on this host and no other (name or id)"],
      ["--host-label <label>", "on a host with one of these labels", "several"],
      ["--tolerate <taint>", "a taint of hosts that it bears; may be given several times", "several"],
      ["--apart-from <name=value>", "on no host that has a machine with this label; several: with all of them", "several"],
      ["--profile <profile>", "spread: on the host with most memory left (the default); fill: on the one with least"],
      ...sizes,
      ["--description <text>", "what the machine is for"],
      ["--label <name=value>", "a label; may be given several times", "several"],
      ["--count <number>", "so many at once, called <name>-1, <name>-2 and so on: all are accepted, or none"],
      ["--no-start", "make it and leave it stopped"],
      ["--ttl <duration>", "retire it after this time, such as 2h"],
      ["--wait-for-room <duration>", "how long it may wait for a host with room (1h; with --on-fault fail 0s)"],
      ["--priority <number>", "from -100 to 100: of those that wait for room the highest has its turn first (0)"],
    ],
    waits: true,
    examples: ["drover machine create web-1 --image ubuntu:24.04 --cpus 4 --memory 8G --ttl 2h"],
    run: async () => (await import("./create.ts")).createMachine,
  },
  {
    usage: "list",
    summary: "List machines",
    options: [
      ["--name <name>", "only those of this name"],
      ["--host <host>", "only those on this host (name or id)"],
      ["--state <state>", "only those in this state, such as running"],
      ["--image <image>", "only those of this image (catalogId/version/architecture)"],
      ["--limit <count>", "how many at most"],
    ],
    examples: ["drover machine list --state running"],
    run: async () => (await import("./show.ts")).listMachines,
  },
  {
    usage: "show <machine>",
    summary: "Show a machine (name or id)",
    examples: ["drover machine show web-1"],
    run: async () => (await import("./show.ts")).showMachine,
  },
  {
    usage: "why <machine>",
    summary: "Tell why a machine waits: what each host lacks, and how many have their turn before",
    examples: ["drover machine why web-1"],
    run: async () => (await import("./why.ts")).whyMachine,
  },
];

const claiming: readonly Declaration[] = [
  {
    usage: "orphans",
    summary: "List machines on the hosts that are the hub's by their mark and in none of its rows",
    options: [
      ["--foreign", "also those that the hub did not make"],
      ["--host <host>", "only those on this host (name or id)"],
    ],
    examples: ["drover machine orphans", "drover machine orphans --foreign --host mac-1"],
    run: async () => (await import("./unclaimed.ts")).listOrphans,
  },
  {
    usage: "adopt <id>",
    summary: "Take an orphan or a foreign machine into the hub's rows, as it is",
    options: [
      ["--host <host>", "where several hosts report the id (name or id)"],
      ["--name <name>", "give it another name; it must not run"],
    ],
    waits: true,
    examples: ["drover machine adopt 6f1c0a52-3a0e-4a39-9a5e-0d3c5c7c9f10 --name web-1"],
    run: async () => (await import("./unclaimed.ts")).adoptMachine,
  },
];

const plain = (verb: "start" | "restart" | "suspend" | "resume" | "pause" | "reset", summary: string): Declaration => ({
  usage: `${verb} <machine>`,
  summary,
  waits: true,
  examples: [`drover machine ${verb} web-1`],
  run: async () => (await import("./actions.ts")).plainAction(verb),
});

const plainActions: readonly Declaration[] = [
  plain("start", "Start a machine"),
  {
    usage: "stop <machine>",
    summary: "Stop a machine: ask the guest, then kill it after a grace",
    options: [
      ["--force", "at once, without asking the guest; pushes a running operation aside"],
      ["--drop-state", "a suspended machine loses its state"],
      ["--grace <duration>", "how long the guest may take (2m)"],
    ],
    waits: true,
    examples: ["drover machine stop web-1", "drover machine stop web-1 --force"],
    run: async () => (await import("./actions.ts")).stopMachine,
  },
  plain("restart", "Restart the guest"),
  plain("suspend", "Write the machine's memory to disk and stop it"),
  plain("resume", "Go on after suspend or pause"),
  plain("pause", "Halt the machine and keep its memory"),
  plain("reset", "Switch the machine off and on again"),
];

const changing: readonly Declaration[] = [
  {
    usage: "exec <machine> [command...]",
    summary: "Run a command (several words) or a script (one word, or a file) in the guest and end with its exit code",
    options: [
      ["--script <file>", "a script from a file, or from standard input with -"],
      ["--env <name=value>", "a variable for it; the name alone hands on the one that is set here", "several"],
      ["--user <name>", "as this user of the guest"],
      ["--time-limit <duration>", "how long it may run in the guest (1h)"],
    ],
    waits: true,
    passThrough: true,
    examples: [
      "drover machine exec web-1 -- uname -a",
      "drover machine exec web-1 -- 'cd /tmp && ls | wc -l'",
      "drover machine exec --script setup.sh --env TOKEN web-1",
    ],
    run: async () => (await import("./exec.ts")).execInMachine,
  },
  {
    usage: "clone <machine> <name>",
    summary: "Make another machine of a stopped one",
    options: [["--linked", "share the disk with the first one"]],
    waits: true,
    examples: ["drover machine clone web-1 web-2"],
    run: async () => (await import("./actions.ts")).cloneMachine,
  },
  {
    usage: "rename <machine> <name>",
    summary: "Give a machine another name",
    waits: true,
    examples: ["drover machine rename web-1 web-old"],
    run: async () => (await import("./actions.ts")).renameMachine,
  },
  {
    usage: "configure <machine>",
    summary: "Change CPU, memory, description or an option of Parallels Desktop",
    options: [
      ...sizes,
      ["--description <text>", "what the machine is for"],
      ["--set <flag=value>", "an option of `prlctl set`, without its dashes", "several"],
    ],
    waits: true,
    examples: ["drover machine configure web-1 --cpus 8 --memory 16G", "drover machine configure web-1 --set nested-virt=on"],
    run: async () => (await import("./actions.ts")).configureMachine,
  },
  {
    usage: "capture <machine> [file]",
    summary: "Save a picture of the machine's screen (PNG; - is standard output)",
    waits: true,
    examples: ["drover machine capture web-1 screen.png"],
    run: async () => (await import("./capture.ts")).captureScreen,
  },
];

const ending: readonly Declaration[] = [
  {
    usage: "expire <machine> <when>",
    summary: "Retire a machine after a time, or `never`",
    examples: ["drover machine expire web-1 4h", "drover machine expire web-1 never"],
    run: async () => (await import("./create.ts")).expireMachine,
  },
  {
    usage: "delete <machine>",
    alias: "retire",
    summary: "Retire a machine: stop it, delete its disk, release what it holds; an orphan by its id",
    options: [
      ["--force", "without asking the guest to stop"],
      ["--keep-files", "only forget it: a stopped machine is unregistered and its files stay"],
    ],
    waits: true,
    examples: ["drover machine delete web-1", "drover machine delete web-1 --keep-files"],
    run: async () => (await import("./create.ts")).deleteMachine,
  },
];

const snapshotting: readonly Declaration[] = [
  {
    usage: "create <machine> <name>",
    summary: "Keep the machine's state under a name",
    options: [["--description <text>", "what the state is"]],
    waits: true,
    examples: ["drover machine snapshot create web-1 clean"],
    run: async () => (await import("./snapshots.ts")).createSnapshot,
  },
  {
    usage: "list <machine>",
    summary: "List the snapshots of a machine",
    waits: true,
    examples: ["drover machine snapshot list web-1"],
    run: async () => (await import("./snapshots.ts")).listSnapshots,
  },
  {
    usage: "revert <machine> <snapshot>",
    summary: "Go back to a snapshot (id or name)",
    options: [["--no-resume", "leave the machine as it was kept and do not let it go on"]],
    waits: true,
    examples: ["drover machine snapshot revert web-1 clean"],
    run: async () => (await import("./snapshots.ts")).revertSnapshot,
  },
  {
    usage: "delete <machine> <snapshot>",
    summary: "Delete a snapshot (id or name)",
    options: [["--children", "and those made after it"]],
    waits: true,
    examples: ["drover machine snapshot delete web-1 clean"],
    run: async () => (await import("./snapshots.ts")).deleteSnapshot,
  },
];
