/**
 * The whole embedded stack for end-to-end tests: own folder, own ports, own servers, and `drover` as a person runs it.
 *
 * The one idea: tests see what users see. Only the clean-up and the process ids are known from inside.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { Readable, Writable } from "node:stream";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inject } from "vitest";
import { openContext } from "../../cli/context.ts";
import type { Parts } from "../../cli/parts.ts";
import { runCommand as runProgram } from "../../cli/program.ts";
import { startDrover, type Drover } from "../../deploy/drover.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";
import { readConfig } from "../../domain/config/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { openStackHome } from "./home.ts";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
export interface TestStack extends Drover {
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs `drover` with these words; never fails by itself. */
  drover(...words: string[]): Promise<Ran>;
  /** The same with `--json`, parsed; fails when the command does. */
  json<T = Record<string, unknown>>(...words: string[]): Promise<T>;
  close(): Promise<void>;
}

/** PostgreSQL and Temporal of one's own, as an operator would bring them: a new database, and a namespace prepared by the command for it. */
export async function ownServers(): Promise<Record<string, string>> {
  const servers = {
    DATABASE_URL: await createDatabase(inject("databaseUrl")),
    TEMPORAL_ADDRESS: inject("temporalAddress"),
    TEMPORAL_NAMESPACE: `e2e-${randomUUID()}`,
  };
  const { code, stderr } = await runCommand(["temporal", "setup"], { ...process.env, BASE_URL: "", MODE: "", ...servers });
  if (code !== 0) throw new Error(`drover temporal setup ended with ${code}:\n${stderr}`);
  return servers;
}

export async function openStack(variables: Readonly<Record<string, string>> = {}): Promise<TestStack> {
  const { home, env, remove } = await openStackHome("drover-e2e-", variables);
  const lines: string[] = [];
  const drover = await startDrover({ config: unwrap(readConfig(env)), env, onLine: (line) => void lines.push(line) }).catch(
    async (error: unknown) => {
      await remove();
      throw new Error(`The stack did not start:\n${lines.join("\n")}`, { cause: error });
    },
  );
  const commandEnv = { ...env, DROVER_CONFIG_DIR: join(home, "config") };
  const run = (...words: string[]) => runCommand(words, commandEnv);
  return {
    ...drover,
    home,
    env: { ...env, ...drover.stack.env },
    drover: run,
    json: async (...words) => {
      const own = words[0] === "push" && !words.includes("--host");
      const { code, stdout, stderr } = await (own ? run(...withJson(words)) : runHere(withJson(words), commandEnv));
      if (code !== 0) throw new Error(`drover ${words.join(" ")} ended with ${code}:\n${stderr}${stdout}`);
      return JSON.parse(stdout);
    },
    close: async () => {
      await drover.stack.stop();
      await remove();
    },
  };
}

const withJson = (words: string[]): string[] =>
  words[1] === "exec" ? ["machine", "exec", "--json", ...words.slice(2)] : [...words, "--json"];

/** The same program without a process of its own, which costs more than most commands do. What needs parts of this computer does not run so. */
async function runHere(words: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<Ran> {
  const [out, err] = [captured(), captured()];
  const parts = new Proxy({} as Parts, { get: () => () => Promise.reject(new Error("This command needs a process of its own.")) });
  const streams = { out: out.stream, err: err.stream, in: Readable.from([]) };
  const code = await runProgram(openContext({ env, folder: process.cwd(), streams, parts, onSignal: () => () => {} }), words);
  return { code: code ?? 0, stdout: out.text(), stderr: err.text() };
}

function captured() {
  const written: string[] = [];
  const stream = new Writable({
    write: (part: Buffer, _encoding, done) => {
      written.push(part.toString());
      done();
    },
  });
  return { stream, text: () => written.join("") };
}

export function runCommand(words: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<Ran> {
  const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
  const child = spawn(process.execPath, [program, ...words], { env, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (part: Buffer) => out.push(part));
  child.stderr.on("data", (part: Buffer) => err.push(part));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) =>
      resolve({ code: code ?? 1, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    );
  });
}
