/** Starts victims, kills them at random moments, and hears what they say when they are left alive. */
import { spawn } from "node:child_process";

export interface Order {
  readonly what: "push" | "pull";
  readonly store: string;
  readonly log: string;
  readonly bundle: string;
  readonly journal: string;
  readonly digest: string;
  readonly target: string;
  readonly seeds: readonly { digest: string; path: string }[];
  /** Packs or reads on their way at once. */
  readonly parallel?: number;
}

export interface Outcome {
  readonly killed: boolean;
  readonly steps: number;
  readonly result: Record<string, unknown>;
}

/** Runs a victim; kills it `delayMs` after it has said `afterSteps` steps. */
export async function runVictim(order: Order, afterSteps = Infinity, delayMs = 0): Promise<Outcome> {
  const child = spawn(process.execPath, [new URL("./victim.ts", import.meta.url).pathname, JSON.stringify(order)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  const steps = () => said.split("\n")[0]?.length ?? 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (steps() >= afterSteps) setTimeout(() => child.kill("SIGKILL"), delayMs);
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => child.once("close", (...ended) => resolve(ended)));
  if (signal === "SIGKILL") return { killed: true, steps: steps(), result: {} };
  if (code !== 0) throw new Error(`The victim ended with code ${code}.`);
  return { killed: false, steps: steps(), result: JSON.parse(said.split("\n")[1] ?? "{}") as Record<string, unknown> };
}
