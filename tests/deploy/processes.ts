/** What suites about processes share: the project's folder, free ports for a whole stack, and who lives under a mark. */
import { readdir } from "node:fs/promises";
import { setTimeout as after } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePorts } from "../../deploy/ports.ts";
import { commandLine } from "../../deploy/processes.ts";
import { run } from "../../deploy/toolchain/run.ts";

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** Variables that give one stack ports of its own. */
export async function ownPorts(): Promise<Record<string, string>> {
  const names = [
    "POSTGRES_PORT",
    "TEMPORAL_PORT",
    "TEMPORAL_UI_PORT",
    "API_PORT",
    "GATEWAY_PORT",
    "GATEWAY_GRPC_PORT",
    "HUB_HEALTH_PORT",
    "GATEWAY_HEALTH_PORT",
  ];
  const ports = await freePorts(names.length);
  return Object.fromEntries(names.map((name, index) => [name, String(ports[index])]));
}

/** Ids of living processes whose command line holds the mark. */
export async function living(mark: string): Promise<number[]> {
  const ids =
    process.platform === "linux" ? await readdir("/proc") : (await run("ps", ["-e", "-o", "pid="], { timeoutMs: 5000 })).output.split("\n");
  const numbers = ids.map(Number).filter((pid) => pid > 0 && pid !== process.pid);
  const lines = await Promise.all(numbers.map((pid) => commandLine(pid)));
  return numbers.filter((_, index) => lines[index]?.includes(mark) === true);
}

/** Waits for a condition; fails with what was waited for. */
export async function until(what: string, condition: () => Promise<boolean> | boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await after(25);
  }
}
