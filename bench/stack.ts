/**
 * The embedded stack that the API is measured on: everything real, in a folder and on ports of its own, with one simulated host and one small image.
 *
 * The one idea: the limits against abuse stay, but none is reached, since what they cost belongs to what is measured.
 */
import { join } from "node:path";
import { z } from "zod";
import { startDrover, type Drover } from "../deploy/drover.ts";
import { readConfig } from "../domain/config/schema.ts";
import { unwrap } from "../domain/errors.ts";
import { Operation } from "../cli/wire.ts";
import type { Operation as Ended } from "../domain/operations/schema.ts";
import { makeBundle } from "../parallels/bundle/make.ts";
import { controlSimulator, usualControl } from "../parallels/simulator/control.ts";
import { pathsIn } from "../parallels/simulator/home.ts";
import { openStackHome } from "../tests/e2e/home.ts";

const mebibyte = 1024 ** 2;
const HostName = z.object({ id: z.string(), name: z.string() });
export const image = { catalogId: "bench", version: "1", architecture: "arm64" } as const;

export interface BenchStack extends Drover {
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder of the simulated Mac. */
  readonly simulator: string;
  /** Waits until an operation has ended, which must be well. */
  done(operationId: string): Promise<Ended>;
  close(): Promise<void>;
}

export async function openBenchStack(): Promise<BenchStack> {
  const { home, env, remove } = await openStackHome("drover-bench-api-", {
    DROVER_HOSTS: "1",
    DROVER_RATE_CALLER: "100000000",
    LOG_LEVEL: "info",
  });
  const drover = await startDrover({ config: unwrap(readConfig(env)), env, onLine: () => {} }).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  const { client } = drover;
  const done = async (id: string): Promise<Ended> => {
    for (;;) {
      const operation = await client.get(`/operations/${id}/wait`, Operation, { query: { timeout: 60 } });
      if (operation.state === "done") return operation;
      if (operation.endedAt !== null || operation.state === "parked")
        throw new Error(`${operation.verb} ${operation.subject} is ${operation.state}: ${JSON.stringify(operation.fault)}`);
    }
  };
  const simulator = join(drover.hosts[0]?.home ?? home, "simulator");
  const close = async () => {
    await drover.stack.stop();
    await remove();
  };
  const stack = { ...drover, home, env: { ...env, ...drover.stack.env }, simulator, done, close };
  await stock(stack).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return stack;
}

/** One image of a machine with an empty disk, whose guest answers at once. */
async function stock({ client, hosts, simulator, done }: BenchStack): Promise<void> {
  const none = Object.fromEntries(Object.keys(usualControl.times).map((name) => [name, 0]));
  controlSimulator(simulator, { times: none });
  const facts = { kind: "pvm", osType: 9, osNumber: 2314, cpus: 1, memoryMegabytes: 512, diskBytes: 8 * mebibyte } as const;
  const { bundlePath: path } = await makeBundle({ folder: pathsIn(simulator).machines, name: "Golden", ...facts });
  const all = await client.list("/hosts", HostName);
  const hostId = all.find(({ name }) => name === hosts[0]?.name)?.id;
  const push = { ...image, path, hostId, probe: { kind: "none" } };
  const { id } = await client.send("POST", "/images", Operation, { body: push });
  await done(id);
}
