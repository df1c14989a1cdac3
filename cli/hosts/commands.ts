/** `drover host ...` */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function hostCommands(program: Command, answer: Answer): void {
  const group = declareGroup(program, { name: "host", summary: "Look at hosts, enrol them, give them work or not" });
  for (const declaration of [...looking, ...enrolling, ...closing, ...changing]) declare(group, declaration, answer);
  const windows = declareGroup(program, { name: "maintenance", summary: "Say when hosts take no new machines, again and again" });
  for (const declaration of maintaining) declare(windows, declaration, answer);
}

const maintaining: readonly Declaration[] = [
  {
    usage: "list",
    summary: "List the maintenance windows",
    examples: ["drover maintenance list"],
    run: async () => (await import("./maintenance.ts")).listWindows,
  },
  {
    usage: "add <name>",
    summary: "Close hosts to new machines on some days, from a time on, for a while",
    options: [
      ["--host <host>", "a host (name or id); may be given several times", "several"],
      ["--label <label>", "all hosts with this label; may be given several times", "several"],
      ["--day <day>", "a day on which it begins: mon, tue, wed, thu, fri, sat or sun (every day)", "several"],
      ["--at <time>", "when it begins, such as 02:30"],
      ["--for <duration>", "how long it lasts, such as 4h"],
      ["--zone <zone>", "whose clock is meant, such as Europe/Berlin (this computer's)"],
    ],
    examples: ["drover maintenance add patches --label studio --day sun --at 02:30 --for 4h --zone Europe/Berlin"],
    run: async () => (await import("./maintenance.ts")).addWindow,
  },
  {
    usage: "remove <name>",
    summary: "Remove a maintenance window",
    examples: ["drover maintenance remove patches"],
    run: async () => (await import("./maintenance.ts")).removeWindow,
  },
];

const looking: readonly Declaration[] = [
  { usage: "list", summary: "List the hosts", examples: ["drover host list"], run: async () => (await import("./show.ts")).listHosts },
  {
    usage: "show <host>",
    summary: "Show a host (name or id)",
    examples: ["drover host show mac-1"],
    run: async () => (await import("./show.ts")).showHost,
  },
];

const enrolling: readonly Declaration[] = [
  {
    usage: "token <name>",
    summary: "Make a token with which one computer becomes a host of this name",
    options: [
      ["--label <label>", "a label of the host; may be given several times", "several"],
      ["--ttl <duration>", "how long the token is good (10m)"],
    ],
    examples: ["drover host token mac-1 --label studio"],
    run: async () => (await import("./enrol.ts")).makeToken,
  },
  {
    usage: "enrol <url> [token]",
    summary: "Make this computer a host, with a token from standard input; run it on the host itself",
    options: [
      ["--replace", "take the place of the host that this computer was before"],
      ["--install", "keep its worker running by launchd or systemd, as `drover host install` does"],
      ["--user <user>", "with --install, whose worker it is"],
    ],
    examples: [
      "echo <token> | drover host enrol https://hub.example.com:3443",
      "echo <token> | sudo drover host enrol --install https://hub.example.com:3443",
    ],
    run: async () => (await import("./enrol.ts")).enrol,
  },
  {
    usage: "install",
    summary: "Keep this computer's host worker running by launchd or systemd, from its start on",
    options: [
      ["--user <user>", "whose worker it is: the one who runs the machines of Parallels Desktop (whoever asks, through sudo too)"],
      ["--print", "show the file that would be written, and change nothing"],
    ],
    examples: ["drover host install --print", "sudo drover host install"],
    run: async () => (await import("./service.ts")).installHost,
  },
  {
    usage: "uninstall",
    summary: "End this computer's host worker and remove its service; the computer stays enrolled",
    examples: ["sudo drover host uninstall"],
    run: async () => (await import("./service.ts")).uninstallHost,
  },
];

const closing: readonly Declaration[] = [
  {
    usage: "cordon <host>",
    summary: "Place no new machines on a host; what runs there goes on",
    examples: ["drover host cordon mac-1"],
    run: async () => (await import("./cordon.ts")).cordonHost,
  },
  {
    usage: "uncordon <host>",
    summary: "Let new machines come to a host again",
    examples: ["drover host uncordon mac-1"],
    run: async () => (await import("./cordon.ts")).uncordonHost,
  },
  {
    usage: "drain <host>",
    summary: "Close a host to new machines and wait for, stop or retire those that are there",
    options: [
      ["--machines <what>", "wait until each has ended by itself (the default), stop those that run, or retire all"],
      ["--limit <duration>", "how long machines have to end by themselves (4h)"],
    ],
    waits: true,
    examples: ["drover host drain mac-1 --limit 2h", "drover host drain mac-1 --machines retire"],
    run: async () => (await import("./cordon.ts")).drainHost,
  },
];

const changing: readonly Declaration[] = [
  {
    usage: "enable <host>",
    summary: "Let a host take work",
    examples: ["drover host enable mac-1"],
    run: async () => (await import("./change.ts")).enableHost,
  },
  {
    usage: "disable <host>",
    summary: "Give a host no new work; what runs there goes on",
    examples: ["drover host disable mac-1"],
    run: async () => (await import("./change.ts")).disableHost,
  },
  {
    usage: "label <host> [labels...]",
    summary: "Add labels to a host, or take them away",
    options: [["--remove <label>", "a label to take away; may be given several times", "several"]],
    examples: ["drover host label mac-1 studio ssd", "drover host label mac-1 --remove ssd"],
    run: async () => (await import("./change.ts")).labelHost,
  },
  {
    usage: "taint <host> [taints...]",
    summary: "Keep machines away from a host that do not bear its taints, or take taints away",
    options: [["--remove <taint>", "a taint to take away; may be given several times", "several"]],
    examples: ["drover host taint mac-1 gpu", "drover host taint mac-1 --remove gpu"],
    run: async () => (await import("./change.ts")).taintHost,
  },
  {
    usage: "delete <host>",
    summary: "Forget a host that has no machines",
    examples: ["drover host delete mac-1"],
    run: async () => (await import("./change.ts")).deleteHost,
  },
];
