/**
 * `drover machine exec`: a script in the guest whose output appears here as it is written, and whose exit code is ours.
 *
 * The one idea: the script travels in the body of one request and is never an argument here or there; what it prints is read from the
 * operation line by line, so a lost connection loses no line.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { setTimeout as after } from "node:timers/promises";
import { z } from "zod";
import type { OutputLine } from "../../domain/machines/schema.ts";
import { pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodeOfGuest, exitCodes } from "../exit-codes.ts";
import { awaitOperation, tellOutcome } from "../operations/await.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { usageFault } from "../problem.ts";
import { given, seconds } from "../values.ts";
import { Output } from "../wire.ts";
import { requestAction } from "./actions.ts";

const Options = z.object({
  script: z.string().optional(),
  env: z.array(z.string()).default([]),
  user: z.string().optional(),
  timeLimit: seconds.optional(),
});
const Ended = z.object({ exitCode: z.int() });
const pageSize = 1000;
/** Feels immediate, and is little work for the hub. */
const readEveryMs = 400;

export async function execInMachine(context: Context, [machine = "", ...words]: readonly string[], raw: unknown): Promise<number> {
  const options = given(Options, raw);
  const waiting = waitingOf(raw);
  const script = await scriptOf(context, options.script, words[0] === "--" ? words.slice(1) : words);
  const environment = Object.fromEntries(options.env.map((word) => variable(context, word)));
  const client = await context.hub();
  const action = { verb: "execute", script, environment, user: options.user, timeoutSeconds: options.timeLimit };
  const operation = await requestAction(client, machine, action, waiting);
  if (waiting.detach) return seeThrough(context, client, { operation, waiting });

  const output = follower(client, operation.id, context.json ? null : context);
  const ended = new AbortController();
  const reading = output.follow(ended.signal);
  // What the guest prints is all that a person wants to see.
  const awaiting = { operationId: operation.id, timeoutMs: waiting.timeout, progress: false };
  const awaited = await awaitOperation(context, client, awaiting).finally(() => ended.abort());
  await reading;
  const { detail } = awaited;
  if (detail?.state !== "done") return tellOutcome(context, operation.id, awaited, { words: () => "" });
  const exitCode = Ended.safeParse(detail.result).data?.exitCode ?? exitCodes.internal.code;
  if (context.json) context.show({ operationId: operation.id, exitCode, ...output.texts() }, () => "");
  else if (output.texts().cut) context.remark("The output was cut: it was longer than Drover keeps.");
  return exitCodeOfGuest(exitCode);
}

async function scriptOf({ folder, streams }: Context, file: string | undefined, words: readonly string[]): Promise<string> {
  if ((file === undefined) === (words.length === 0))
    throw usageFault("Give either a command after -- or a script with --script.", "drover machine exec");
  if (file === undefined) return words.length === 1 ? (words[0] ?? "") : words.map(quoted).join(" ");
  if (file === "-") return textOf(streams.in);
  return readFile(resolve(folder, file), "utf8").catch(() => {
    throw usageFault(`The script ${file} cannot be read.`, "drover machine exec");
  });
}

/** As one word for the guest's shell; plain words stay as they are, since shells differ in how they quote. */
export const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** `NAME=value`, or `NAME` alone for the variable of this process: a secret need not stand in the arguments. */
function variable({ env }: Context, word: string): [string, string] {
  const at = word.indexOf("=");
  if (at > 0) return [word.slice(0, at), word.slice(at + 1)];
  const value = env[word];
  if (value === undefined) throw usageFault(`The variable ${word} is not set here.`, "drover machine exec");
  return [word, value];
}

/** Reads what was printed since the last time; writes it at once where there is somewhere to write. */
function follower(client: Client, operationId: string, target: Context | null) {
  const kept: OutputLine[] = [];
  let lastLine = 0;
  let cut = false;

  async function next(): Promise<number> {
    const query = { after: lastLine, limit: pageSize };
    const found = await client.get(`${pathOf("operations", operationId)}/output`, Output, { query });
    for (const { stream, text } of found.items) target?.streams[stream === "stdout" ? "out" : "err"].write(text);
    if (target === null) kept.push(...found.items);
    lastLine = found.items.at(-1)?.line ?? lastLine;
    cut ||= found.cut;
    return found.items.length;
  }
  const textOfStream = (wanted: OutputLine["stream"]) =>
    kept
      .filter(({ stream }) => stream === wanted)
      .map(({ text }) => text)
      .join("");
  return {
    /** Until the signal, then to the end. A hub that is away meanwhile is asked again: whoever waits for the operation tells what is wrong. */
    follow: async (signal: AbortSignal): Promise<void> => {
      while (!signal.aborted) {
        await next().catch(() => 0);
        await after(readEveryMs, undefined, { signal }).catch(() => undefined);
      }
      while ((await next().catch(() => 0)) === pageSize) continue;
    },
    texts: () => ({ stdout: textOfStream("stdout"), stderr: textOfStream("stderr"), cut }),
  };
}
