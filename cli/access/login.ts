/**
 * `drover login`: asks for a password without showing it and keeps the token.
 *
 * The one idea: a password never stands in the arguments, where every user of the computer could read it.
 */
import { createInterface } from "node:readline/promises";
import { text as textOf } from "node:stream/consumers";
import { Writable } from "node:stream";
import { z } from "zod";
import { usageFault } from "../problem.ts";
import type { Context } from "../context.ts";
import { time } from "../output/format.ts";
import { embeddedHub } from "./embedded.ts";
import { logIn } from "./log-in.ts";
import { readLogin, writeLogin } from "./login-file.ts";
import { baseOf, defaultUrl } from "./session.ts";

const Options = z.object({ username: z.string().optional() });

export async function login(context: Context, [address]: readonly string[], given: unknown): Promise<void> {
  const { env, streams } = context;
  const options = Options.parse(given);
  const known = await readLogin(env);
  const url = baseOf(address ?? env["DROVER_URL"] ?? known?.url ?? (await embeddedHub(context))?.url ?? defaultUrl);
  const asks = streams.in.isTTY === true;
  const username = options.username ?? (asks ? await ask(context, `User of ${url}: `, { hidden: false }) : undefined);
  if (!username) throw usageFault("Name the user with --username.", "drover login");
  const password =
    env["DROVER_PASSWORD"] || (asks ? await ask(context, "Password: ", { hidden: true }) : firstLine(await textOf(streams.in)));
  if (!password) throw usageFault("There is no password: give it on standard input or in DROVER_PASSWORD.", "drover login");

  const { token, expiresAt } = await logIn(url, { username, password });
  const file = await writeLogin(env, { url, username, token, expiresAt });
  const words = () => `Logged in to ${url} as ${username} until ${time(expiresAt)}.`;
  context.show({ url, username, expiresAt, file }, words);
}

async function ask({ streams }: Context, question: string, { hidden }: { hidden: boolean }): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  if (hidden) streams.err.write(question);
  const reader = createInterface({ input: streams.in, output: hidden ? silent : streams.err, terminal: true });
  const given = new AbortController();
  reader.on("SIGINT", () => given.abort());
  try {
    return (await reader.question(hidden ? "" : question, { signal: given.signal })).trim();
  } catch {
    return "";
  } finally {
    reader.close();
    if (hidden) streams.err.write("\n");
  }
}

const firstLine = (input: string): string => input.split(/\r?\n/)[0] ?? "";
