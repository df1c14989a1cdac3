/**
 * The main job: an image from a bundle, brought to a host, a machine from it, a second version from the machine, and the end of the machine.
 *
 * The one idea: each step is a `drover` command in a process of its own; its JSON answer is what the summary says.
 */
import { spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { bytes as sized } from "../cli/output/format.ts";
import { FaultError } from "../domain/errors.ts";
import { changeDisk } from "../parallels/sample/change.ts";
import { makeSampleBundle } from "../parallels/sample/make.ts";
import type { Drover } from "./drover.ts";

export interface JobOptions {
  readonly say: (line?: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const mebibyte = 1024 ** 2;
/** Big enough to show rates, small enough for a first try: a disk of 512 MiB with 160 MiB of files. */
const diskBytes = 512 * mebibyte;
const contentBytes = 160 * mebibyte;
/** What the guest "writes" before the second version. */
const changedBytes = 4 * mebibyte;

const Pushed = z.object({
  result: z.object({ logicalBytes: z.number(), storedBytes: z.number(), newBytes: z.number(), image: z.string() }),
});
const Pulled = z.object({ result: z.object({ fetchedBytes: z.number(), wasCached: z.boolean() }) });
const Shown = z.object({ bundlePath: z.string() });

/** What was done and how fast, in lines, and the commands that did it. */
export interface Job {
  readonly lines: readonly string[];
  readonly commands: readonly string[];
}

export async function runJob(drover: Drover, { say, env }: JobOptions): Promise<Job> {
  const lines: string[] = [];
  const commands: string[] = [];
  const [, second = drover.hosts[0]] = drover.hosts;
  if (!second) throw new FaultError({ code: "no_capacity", message: "The stack has no host: DROVER_HOSTS is 0." });
  const told = async <T>(words: readonly string[], schema: z.ZodType<T>, line: (answer: T, seconds: string) => string): Promise<T> => {
    const began = performance.now();
    commands.push(`npx drover ${words.join(" ")}`);
    const answer = schema.parse(JSON.parse(await runDrover(words, { home: drover.stack.home, env, say })));
    lines.push(line(answer, `${((performance.now() - began) / 1000).toFixed(1)} s`));
    return answer;
  };

  const bundle = await sampleBundle(drover, { say, env }, lines);
  await told(["push", bundle, "sample", "--version", "1.0", "--replace"], Pushed, ({ result }, took) => pushLine(result, took));
  await told(["pull", "sample:1.0", "--host", second.name], Pulled, ({ result }, took) =>
    result.wasCached
      ? `pulled to ${second.name}: it had it already (${took})`
      : `pulled to ${second.name}: ${sized(result.fetchedBytes)} fetched (${took})`,
  );
  const name = `quickstart-${Date.now().toString(36)}`;
  const create = ["machine", "create", name, "--image", "sample:1.0", "--host", second.name, "--cpus", "2", "--memory", "1G"];
  await told(create, z.unknown(), (_, took) => `machine ${name} provisioned on ${second.name}: cloned, booted, answering (${took})`);
  await told(["machine", "exec", name, "--", "uname", "-a"], z.unknown(), (_, took) => `command run in it (${took})`);
  await told(["machine", "stop", name], z.unknown(), (_, took) => `machine stopped (${took})`);
  const { bundlePath } = Shown.parse(JSON.parse(await runDrover(["machine", "show", name], { home: drover.stack.home, env, say })));
  const change = await changeDisk(bundlePath, { bytes: changedBytes, path: env["PATH"] ?? "" });
  lines.push(
    `${sized(changedBytes)} written to its disk by ${change.way === "debugfs" ? "debugfs" : "our own cluster writer (debugfs is missing)"}`,
  );
  const again = ["push", bundlePath, "sample", "--version", "1.1", "--host", second.name, "--replace"];
  await told(again, Pushed, ({ result }, took) => pushLine(result, took));
  await told(["machine", "delete", name], z.unknown(), (_, took) => `machine retired (${took})`);
  return { lines, commands };
}

const pushLine = ({ image, logicalBytes, storedBytes, newBytes }: z.infer<typeof Pushed>["result"], took: string) =>
  `pushed ${image}: ${sized(logicalBytes)} as ${sized(storedBytes)}, of which ${sized(newBytes)} travelled (${took})`;

/** Made once and kept, so that a second quickstart shows that the same content does not travel twice. */
async function sampleBundle({ stack }: Drover, { say, env }: JobOptions, lines: string[]): Promise<string> {
  const folder = join(stack.home, "sample");
  const kept = join(folder, "Sample.pvm");
  if (await stat(kept).catch(() => null)) return kept;
  say("Making a sample machine with a real disk ...");
  const began = performance.now();
  const {
    bundlePath,
    content,
    files,
    contentBytes: filled,
  } = await makeSampleBundle({ folder, name: "Sample", bytes: diskBytes, contentBytes, path: env["PATH"] ?? "" });
  const what =
    content === "ext4"
      ? `an ext4 disk of ${sized(diskBytes)} with ${files} files of this computer (${sized(filled)})`
      : `a disk of ${sized(diskBytes)} filled by our own code, because mke2fs is missing`;
  lines.push(`sample bundle made: ${what} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
  return bundlePath;
}

/** Runs one command as a person would; progress goes to the terminal, the answer comes back. */
function runDrover(
  words: readonly string[],
  { home, env, say }: { home: string; env: JobOptions["env"]; say: JobOptions["say"] },
): Promise<string> {
  say(`$ npx drover ${words.join(" ")}`);
  const program = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
  const [flagged, passed] = words.includes("--") ? [words.slice(0, words.indexOf("--")), words.slice(words.indexOf("--"))] : [words, []];
  const child = spawn(process.execPath, [program, ...jsonFlag(flagged), ...passed], {
    env: { ...env, DROVER_HOME: home },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const parts: Buffer[] = [];
  child.stdout.on("data", (part: Buffer) => parts.push(part));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) return resolve(Buffer.concat(parts).toString("utf8"));
      reject(new FaultError({ code: "part_failed", message: `\`drover ${words.join(" ")}\` ended with exit code ${code}.` }));
    });
  });
}

/** Options of `exec` stand before the machine's name: what follows belongs to the guest. */
const jsonFlag = (words: readonly string[]): string[] =>
  words[1] === "exec" ? ["machine", "exec", "--json", ...words.slice(2)] : [...words, "--json"];
