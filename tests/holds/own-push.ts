/** A push of a bundle that lies on the caller's own computer: the command as a process of its own, which can be interrupted and killed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { Operation } from "../../cli/wire.ts";
import { operationUntil, sampleIn } from "../e2e/faults.ts";
import type { World } from "./cancelling.ts";

export interface OwnPush {
  readonly operationId: string;
  kill(signal: NodeJS.Signals): void;
  /** The command's exit code, or the signal that killed it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** Pushes to the store that stalls; answers once the upload is under way. */
export async function pushFromOwn({ stack, way }: World, name: string): Promise<OwnPush> {
  const bundlePath = await sampleIn(stack, "own", name, 8);
  way.stall();
  const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
  const env = { ...stack.env, DROVER_CONFIG_DIR: join(stack.home, "config") };
  const child = spawn(process.execPath, [program, "push", bundlePath, name, "--version", "1", "--json"], { env, stdio: "ignore" });
  const ended = once(child, "exit").then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
  const pushes = async () =>
    (await stack.client.list("/operations", Operation, { verb: "push" })).filter(({ subject }) => subject.startsWith(name));
  await expect.poll(async () => (await pushes()).length, { timeout: 60_000 }).toBe(1);
  const operationId = (await pushes())[0]?.id ?? "";
  const uploading = ({ steps }: { steps: readonly { name: string; state: string }[] }) =>
    steps.some((step) => step.name === "upload" && step.state === "running");
  await operationUntil(stack, operationId, uploading, 30_000);
  return { operationId, kill: (signal) => void child.kill(signal), ended };
}
