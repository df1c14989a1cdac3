/** `drover pool ...` */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function poolCommands(program: Command, answer: Answer): void {
  const pool = declareGroup(program, { name: "pool", summary: "Keep machines ready, and lease them" });
  for (const declaration of [...keeping, ...leasing]) declare(pool, declaration, answer);
}

const wanted = [
  ["--image <image>", "catalogId, catalogId:version or catalogId:version/architecture; new versions of it replace what waits"],
  ["--cpus <count>", "virtual CPUs of each; `image` leaves them to the image"],
  ["--memory <size>", "memory of each, such as 8G; `image` leaves it to the image"],
  ["--host-label <label>", "on hosts with one of these labels; may be given several times", "several"],
  ["--label <name=value>", "a label of each machine; may be given several times", "several"],
  ["--idle <count>", "how many wait to be leased (1)"],
  ["--maximum <count>", "how many there are at most, leased ones included (10)"],
  ["--lease-time <duration>", "how long a lease lasts at most (1h)"],
  ["--idle-state <state>", "running (the default), or suspended: no CPU and memory while they wait, and some seconds more for a lease"],
  ["--role <role>", "whoever leases has one of these roles; may be given several times", "several"],
  ["--claim <claim>", "whoever leases has one of these claims; may be given several times", "several"],
] as const;

const keeping: readonly Declaration[] = [
  {
    usage: "create <name>",
    summary: "Keep machines of an image ready",
    options: wanted,
    examples: ["drover pool create ci-linux --image ubuntu:24.04 --idle 5 --maximum 20 --lease-time 2h"],
    run: async () => (await import("./pools.ts")).createPool,
  },
  {
    usage: "list",
    summary: "List pools, how many machines wait in each, and why fewer than should",
    alias: "ls",
    examples: ["drover pool list"],
    run: async () => (await import("./pools.ts")).listPools,
  },
  {
    usage: "show <pool>",
    summary: "Show a pool with its machines and leases",
    examples: ["drover pool show ci-linux"],
    run: async () => (await import("./pools.ts")).showPool,
  },
  {
    usage: "edit <pool>",
    summary: "Change a pool; machines that wait are replaced where they would be made otherwise now",
    options: wanted,
    examples: ["drover pool edit ci-linux --idle 10", "drover pool edit ci-linux --image ubuntu:26.04"],
    run: async () => (await import("./pools.ts")).editPool,
  },
  {
    usage: "delete <pool>",
    summary: "End a pool: its idle machines are retired, and it goes when its last lease has ended",
    alias: "rm",
    options: [["--end-leases", "end its leases now, with the machines"]],
    examples: ["drover pool delete ci-linux", "drover pool delete ci-linux --end-leases"],
    run: async () => (await import("./pools.ts")).deletePool,
  },
];

const leasing: readonly Declaration[] = [
  {
    usage: "lease <pool>",
    summary: "Take an idle machine for oneself; it is retired when the lease ends",
    options: [
      ["--ttl <duration>", "for a shorter time than the pool gives"],
      ["--wait <duration>", "how long to wait for one where none is idle"],
    ],
    waits: true,
    examples: ["drover pool lease ci-linux --ttl 30m", "drover pool lease ci-linux --wait 5m --json"],
    run: async () => (await import("./leases.ts")).leaseMachine,
  },
  {
    usage: "release <pool> <lease>",
    summary: "Give a leased machine back (lease id, machine name or id): it is retired",
    waits: true,
    examples: ["drover pool release ci-linux ci-linux-1b2c3d4e"],
    run: async () => (await import("./leases.ts")).releaseMachine,
  },
];
