/** Kills hosts with -9 in the middle of what they do, with the commands that they leave behind. */
import { spawn } from "node:child_process";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathsIn } from "../../parallels/simulator/home.ts";
import type { HostActionActivities } from "../../workflows/machines/operate.ts";
import type { MachineActivities } from "../../workflows/machines/provision.ts";
import { simulatorIn } from "./host.ts";

export type Order = { readonly home: string; readonly sealed?: Record<string, unknown> } & (
  | { readonly create: Parameters<MachineActivities["createMachine"]>[0] }
  | { readonly act: Parameters<HostActionActivities["actOnMachine"]>[0] }
);

/** Begins the order in a process of its own and kills it as soon as `due` says so. Fails when the process ends before. */
export async function killWhen(order: Order, due: () => Promise<boolean>): Promise<void> {
  const program = new URL("./victim.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [program, JSON.stringify(order)], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (said += text));
  const ended = new Promise<string | null>((resolve) => child.once("close", (_, signal) => resolve(signal)));
  let alive = true;
  void ended.then(() => (alive = false));
  while (alive && !(await due())) await delay(1);
  child.kill("SIGKILL");
  if ((await ended) !== "SIGKILL") throw new Error(`The host ended before it was killed:\n${said}`);
  await endHanging(order.home);
}

export const hanging = (home: string): Promise<string[]> => readdir(pathsIn(simulatorIn(home)).hanging).catch(() => []);

/** Commands run in groups of their own, so they outlive a killed host; each wrote down its process. */
async function endHanging(home: string): Promise<void> {
  for (const pid of await hanging(home)) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
    await rm(join(pathsIn(simulatorIn(home)).hanging, pid), { force: true });
  }
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
