/**
 * `drover login`: by password, through an identity provider or as a workload; keeps the token that the hub gives for it.
 *
 * The one idea: no secret ever stands in the arguments, where every user of the computer could read it.
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
import { readLogin, writeLogin, type StoredLogin } from "./login-file.ts";
import { given, wholeNumber } from "../values.ts";
import { baseOf, defaultUrl } from "./session.ts";

const Options = z.object({
  username: z.string().optional(),
  provider: z.string().optional(),
  device: z.boolean().default(false),
  redirectPort: wholeNumber.default(0),
  workload: z.boolean().default(false),
  tokenFile: z.string().optional(),
  audience: z.string().optional(),
});
type Options = z.infer<typeof Options>;

export async function login(context: Context, [address]: readonly string[], values: unknown): Promise<void> {
  const { env } = context;
  const options = given(Options, values);
  const known = await readLogin(env);
  const url = baseOf(address ?? env["DROVER_URL"] ?? known?.url ?? (await embeddedHub(context))?.url ?? defaultUrl);
  const stored = await wayOf(options)(context, url, options);
  const file = await writeLogin(env, stored);
  const { username, expiresAt } = stored;
  const words = () => `Logged in to ${url} as ${username} until ${time(expiresAt)}.`;
  context.show({ url, username, expiresAt, file }, words);
}

type Way = (context: Context, url: string, options: Options) => Promise<StoredLogin>;

/** What the other ways need is loaded by who goes them. */
function wayOf({ provider, workload, username, device, tokenFile }: Options): Way {
  if ([provider, username, workload || undefined].filter((one) => one !== undefined).length > 1)
    throw usageFault("Log in in one way: --username, --provider or --workload.", "drover login");
  if (device && provider === undefined) throw usageFault("Name the identity provider with --provider.", "drover login");
  if (provider !== undefined)
    return async (context, url, options) => (await import("./provider-login.ts")).providerLogin(context, url, { ...options, provider });
  if (workload || tokenFile !== undefined)
    return async (context, url, options) => (await import("./workload-login.ts")).workloadLogin(context, url, options);
  return byPassword;
}

async function byPassword(context: Context, url: string, options: Options): Promise<StoredLogin> {
  const { env, streams } = context;
  const asks = streams.in.isTTY === true;
  const username = options.username ?? (asks ? await ask(context, `User of ${url}: `, { hidden: false }) : undefined);
  if (!username) throw usageFault("Name the user with --username.", "drover login");
  const password =
    env["DROVER_PASSWORD"] || (asks ? await ask(context, "Password: ", { hidden: true }) : firstLine(await textOf(streams.in)));
  if (!password) throw usageFault("There is no password: give it on standard input or in DROVER_PASSWORD.", "drover login");
  const { token, expiresAt } = await logIn(url, { username, password });
  return { url, username, token, expiresAt };
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
