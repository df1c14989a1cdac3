/**
 * One stack with two hosts, and what somebody does by hand on them: the host's own `prlctl`, and the file system.
 *
 * The one idea: every test acts as a person at the Mac would, then reads only what the hub says, and by when it says so.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { Machine, Operation, Unclaimed } from "../../cli/wire.ts";
import type { Machine as MachineShape, Unclaimed as UnclaimedShape } from "../../domain/machines/schema.ts";
import { openPrlctl, type Prlctl } from "../../parallels/prlctl.ts";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { simulatorOf } from "../e2e/faults.ts";
import type { TestStack } from "../e2e/stack.ts";

const mebibyte = 1024 ** 2;
/** Promised from the moment on which the host is there. */
export const promisedMs = 15_000;

export interface World {
  readonly stack: TestStack;
  /** The `prlctl` of one host, as a person at that Mac has it. */
  prlctl(host: string): Prlctl;
  make(name: string, options?: readonly string[]): Promise<MachineShape>;
  show(machine: string): Promise<MachineShape>;
  orphans(): Promise<UnclaimedShape[]>;
  /** Names of the events of a machine or a host, oldest first. */
  events(subjectId: string): Promise<{ name: string; body: Record<string, unknown> }[]>;
  operations(machineId: string, verb: string): Promise<{ actor: string; state: string }[]>;
}

export async function openTruth(stack: TestStack): Promise<World> {
  const folder = join(stack.home, "own");
  const { bundlePath } = await makeSampleBundle({
    folder,
    name: "Base",
    bytes: 8 * mebibyte,
    contentBytes: 2 * mebibyte,
    path: "",
    content: "pattern",
  });
  await stack.json("push", bundlePath, "base", "--version", "1");
  return worldOf(stack);
}

export function worldOf(stack: TestStack): World {
  const show = (machine: string) => stack.client.get(pathOf("machines", machine), Machine);
  return {
    stack,
    show,
    prlctl: (host) => {
      const bin = join(simulatorOf(stack, host), "bin");
      return openPrlctl({ prlctlPath: join(bin, "prlctl"), prlsrvctlPath: join(bin, "prlsrvctl") });
    },
    make: async (name, options = []) => {
      await stack.json("machine", "create", name, "--image", "base:1", "--cpus", "1", "--memory", "512M", ...options);
      return show(name);
    },
    orphans: () => stack.client.list("/unclaimed-machines", Unclaimed),
    events: (subjectId) => eventsOf(stack, subjectId),
    operations: async (machineId, verb) => stack.client.list("/operations", Operation, { machineId, verb }),
  };
}

async function eventsOf(stack: TestStack, subjectId: string) {
  const { default: postgres } = await import("postgres");
  const sql = postgres(stack.env["DATABASE_URL"] ?? "", { max: 1, onnotice: () => {} });
  try {
    return [
      ...(await sql<
        { name: string; body: Record<string, unknown> }[]
      >`select name, body from events where subject_id = ${subjectId} order by at`),
    ];
  } finally {
    await sql.end();
  }
}

/** Looks until `look` answers something; how long that took is told, and must be within the promise. */
export async function within<T>(what: string, look: () => Promise<T | null | false | undefined>, limitMs = promisedMs): Promise<T> {
  for (const began = performance.now(); ; await delay(100)) {
    const found = await look();
    const took = performance.now() - began;
    if (found) {
      if (process.env["DROVER_TEST_TIMES"]) process.stderr.write(`${what}: ${(took / 1000).toFixed(1)} s\n`);
      expect(took, what).toBeLessThan(limitMs);
      return found;
    }
    // Told apart from a stack that never does it by going on a little.
    if (took > limitMs + 10_000) throw new Error(`it did not happen: ${what}`);
  }
}
