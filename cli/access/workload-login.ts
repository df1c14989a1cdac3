/**
 * `drover login --workload`: the token of a pipeline for a short login, so that no secret is stored anywhere.
 *
 * The one idea: the token comes from the nearest place: a file that was named, a variable, or GitHub Actions itself, which is asked for one for this hub.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import { reasonOf } from "../client.ts";
import type { Context } from "../context.ts";
import { usageFault } from "../problem.ts";
import { logInWorkload } from "./log-in.ts";
import type { StoredLogin } from "./login-file.ts";

/** The platform's service answers in a second. */
const answerMs = 30_000;
const GitHubAnswer = z.object({ value: z.string().min(1) });

interface Given {
  readonly tokenFile?: string | undefined;
  /** What the token is for: the hub's address, unless its rule says another word. */
  readonly audience?: string | undefined;
}

export async function workloadLogin(context: Context, url: string, { tokenFile, audience = url }: Given): Promise<StoredLogin> {
  const token = await platformToken(context, { tokenFile, audience });
  return { url, ...(await logInWorkload(url, token)), renewable: false };
}

async function platformToken({ env, folder }: Context, { tokenFile, audience }: Given & { audience: string }) {
  if (tokenFile !== undefined) return readToken(resolve(folder, tokenFile));
  if (env["DROVER_ID_TOKEN"]) return env["DROVER_ID_TOKEN"].trim();
  const [address, bearer] = [env["ACTIONS_ID_TOKEN_REQUEST_URL"], env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]];
  if (address && bearer) return fromGitHub(address, bearer, audience);
  const ways = "name a file with --token-file, set DROVER_ID_TOKEN, or give the job of GitHub Actions `permissions: id-token: write`";
  throw usageFault(`There is no token of a platform: ${ways}.`, "drover login");
}

export async function readToken(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw usageFault(`The file ${file} cannot be read: ${error.code ?? error.message}.`);
  });
  if (text.trim() === "") throw usageFault(`The file ${file} holds no token.`);
  return text.trim();
}

async function fromGitHub(address: string, bearer: string, audience: string): Promise<string> {
  const url = new URL(address);
  url.searchParams.set("audience", audience);
  const headers = { authorization: `Bearer ${bearer}`, accept: "application/json" };
  const failed = (reason: string, cause?: unknown) =>
    new FaultError({ code: "identity_provider_unreachable", message: `GitHub Actions gives no token: ${reason}.` }, { cause });
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(answerMs) }).catch((cause: unknown) => {
    throw failed(reasonOf(cause), cause);
  });
  const answer = GitHubAnswer.safeParse(await response.json().catch(() => null));
  if (!response.ok || !answer.success) throw failed(`it answers with status ${response.status}`);
  return answer.data.value;
}
