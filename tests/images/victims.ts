/** Starts victims, kills them at random moments, and hears what they say when they are left alive. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { ObjectStore } from "../../stores/object-store.ts";
import { s3Store } from "../../stores/s3.ts";

export interface Order {
  readonly what: "push" | "pull";
  /** A folder, or an S3 server instead. */
  readonly store: string;
  readonly s3?: S3Place;
  readonly log: string;
  readonly bundle: string;
  readonly journal: string;
  readonly digest: string;
  readonly target: string;
  readonly seeds: readonly { digest: string; path: string }[];
  /** Packs or reads on their way at once, where not as many as usual. */
  readonly parallel?: number;
}

export interface S3Place {
  readonly endpoint: string;
  readonly bucket: string;
  /** Below which all lies. */
  readonly prefix: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export const placeStore = ({ endpoint, bucket, prefix, ...credentials }: S3Place): ObjectStore =>
  s3Store({ bucket, prefix, region: "us-east-1", endpoint, credentials });

/** A push in that folder, with a place of its own for each of its parts. */
export const orders = (path: string): Order => ({
  what: "push",
  store: join(path, "store"),
  log: join(path, "log"),
  bundle: join(path, "bundle"),
  journal: join(path, "journal"),
  digest: "",
  target: join(path, "target"),
  seeds: [],
});

export interface Outcome {
  readonly killed: boolean;
  readonly steps: number;
  readonly result: Record<string, unknown>;
}

export interface Watched {
  readonly code: number | null;
  readonly killed: boolean;
  readonly steps: number;
  /** The lines that it wrote: one letter a step in the first. */
  readonly said: readonly string[];
}

/** Runs that program with an order; kills it `delayMs` after it has said `afterSteps` steps. */
export async function watch(program: URL, order: unknown, { afterSteps = Infinity, delayMs = 0 } = {}): Promise<Watched> {
  const child = spawn(process.execPath, [program.pathname, JSON.stringify(order)], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  const steps = () => text.split("\n")[0]?.length ?? 0;
  child.stdout.setEncoding("utf8").on("data", (more: string) => {
    text += more;
    if (steps() < afterSteps) return;
    if (delayMs === 0) child.kill("SIGKILL");
    else setTimeout(() => child.kill("SIGKILL"), delayMs);
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => child.once("close", (...ended) => resolve(ended)));
  return { code, killed: signal === "SIGKILL", steps: steps(), said: text.split("\n") };
}

/** Runs a victim; kills it `delayMs` after it has said `afterSteps` steps. */
export async function runVictim(order: Order, afterSteps = Infinity, delayMs = 0): Promise<Outcome> {
  const { code, killed, steps, said } = await watch(new URL("./victim.ts", import.meta.url), order, { afterSteps, delayMs });
  if (killed) return { killed, steps, result: {} };
  if (code !== 0) throw new Error(`The victim ended with code ${code}.`);
  return { killed, steps, result: JSON.parse(said[1] ?? "{}") as Record<string, unknown> };
}
