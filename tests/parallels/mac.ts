/** A simulated Mac of its own for each suite, and machines on it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeBundle } from "../../parallels/bundle/make.ts";
import { openPrlctl, type Prlctl } from "../../parallels/prlctl.ts";
import { controlSimulator } from "../../parallels/simulator/control.ts";
import { installSimulator } from "../../parallels/simulator/install.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { FaultError } from "../../domain/errors.ts";

export interface Mac {
  readonly home: string;
  readonly machines: string;
  readonly prlctl: Prlctl;
  readonly control: (changes: Parameters<typeof controlSimulator>[1]) => void;
  /** Makes and registers a stopped machine; answers its id. */
  readonly machine: (name: string, kind?: "pvm" | "macvm") => Promise<string>;
  readonly remove: () => Promise<void>;
}

const system = { pvm: { osType: 9, osNumber: 2314 }, macvm: { osType: 7, osNumber: 1795 } } as const;

export async function simulatedMac(): Promise<Mac> {
  const home = await mkdtemp(join(tmpdir(), "drover-mac-"));
  const prlctl = openPrlctl(await installSimulator(home, { hostName: "mac-1", cpus: 8, memoryBytes: 16 * 1024 ** 3 }));
  const machines = join(home, "Parallels");
  return {
    home,
    machines,
    prlctl,
    control: (changes) => controlSimulator(home, changes),
    machine: async (name, kind = "pvm") => {
      const { bundlePath, id } = await makeBundle({
        folder: machines,
        name,
        kind,
        ...system[kind],
        cpus: 2,
        memoryMegabytes: 1024,
        diskBytes: 4 * 1024 ** 2,
      });
      await prlctl.register(bundlePath, { uuid: id });
      return id;
    },
    remove: () => rm(home, { recursive: true, force: true }),
  };
}

/** Waits until `look` answers something, looking every 20 ms. */
export async function eventually<T>(look: () => Promise<T | null | false | undefined>, withinMs = 30_000): Promise<T> {
  for (const startedMs = performance.now(); ; await sleep(20)) {
    const found = await look();
    if (found) return found;
    if (performance.now() - startedMs > withinMs) throw new Error(`it did not happen within ${withinMs} ms`);
  }
}

export const stateOf = async (prlctl: Prlctl, id: string) => (await prlctl.list()).find((machine) => machine.id === id)?.state;
/** Started, and its tools accept sessions. */
export async function startAndWait(prlctl: Prlctl, id: string): Promise<void> {
  await prlctl.start(id);
  await eventually(async () => (await prlctl.find(id))?.tools.state === "installed");
}

const quick = { startMs: 20, addressMs: 0, toolsMs: 0, stopMs: 20, suspendMs: 20, resumeMs: 20, resumedToolsMs: 0 };

/** As quick and as well-behaved as it gets; what a test disturbs, it says itself. */
export const calm = (mac: Mac): ReturnType<Mac["control"]> =>
  mac.control({
    times: quick,
    faults: [],
    licence: "valid",
    serviceDown: false,
    noiseBeforeJson: false,
    bulkHomeEmpty: false,
    stopWhenStoppedExit: 0,
  });

/** The code of the fault that a call ends with; "no fault" where it succeeds. */
export const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no fault",
    (error: unknown) => (error instanceof FaultError ? error.fault.code : error),
  );
