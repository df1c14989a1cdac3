/**
 * Which hub to ask, and in whose name.
 *
 * The one idea: the nearest says it: the environment, then the login of this user, then the embedded stack on this computer, which needs no login.
 */
import { FaultError } from "../../domain/errors.ts";
import { embeddedHub, embeddedToken, type EmbeddedHub } from "./embedded.ts";
import { renewLogin } from "./log-in.ts";
import { readLogin, writeLogin, type StoredLogin } from "./login-file.ts";

export interface Session {
  readonly url: string;
  /** For people: where the session comes from. */
  readonly source: string;
  readonly token: () => Promise<string>;
  readonly headers: () => Promise<Record<string, string>>;
  /** Gets a new token where that needs nobody's password; `false` where it does. */
  readonly renew: () => Promise<boolean>;
}

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
}

export const defaultUrl = "http://127.0.0.1:3080";

export async function openSession(surroundings: Surroundings): Promise<Session> {
  const { env } = surroundings;
  const wanted = env["DROVER_URL"] ? baseOf(env["DROVER_URL"]) : null;
  const fits = (found: { url: string } | null): boolean => found !== null && (wanted === null || found.url === wanted);
  const [login, embedded] = await Promise.all([readLogin(env), embeddedHub(surroundings)]);

  if (env["DROVER_TOKEN"]) return fixed(wanted ?? login?.url ?? embedded?.url ?? defaultUrl, env["DROVER_TOKEN"], "DROVER_TOKEN");
  if (login && fits(login) && login.expiresAt > new Date()) return kept(env, login);
  // A login to the embedded stack needs no renewal by hand: the stack lets us in by itself.
  if (embedded && fits(embedded) && (!login || !fits(login) || login.url === embedded.url)) return renewed(embedded);
  throw notLoggedIn(login && fits(login) ? login : null, wanted);
}

function notLoggedIn(login: StoredLogin | null, wanted: string | null): FaultError {
  if (login) return loginEnded(login.url, `The login of ${login.username} to ${login.url} ended at ${login.expiresAt.toISOString()}.`);
  const message = wanted === null ? "You are not logged in to a hub, and none runs in this folder." : `You are not logged in to ${wanted}.`;
  const remedy = `Log in with \`drover login ${wanted ?? "<url>"}\`, set DROVER_URL and DROVER_TOKEN, or start a hub here with \`drover start\`.`;
  return new FaultError({ code: "unauthenticated", message, details: { remedy } });
}

const loginEnded = (url: string, message: string): FaultError =>
  new FaultError({ code: "unauthenticated", message, details: { remedy: `Log in again with \`drover login ${url}\`.` } });

function fixed(url: string, token: string, source: string): Session {
  return { url, source, token: async () => token, headers: async () => authorisation(token), renew: async () => false };
}

/** Early enough that a hub that restarts is back before the end of a quarter of an hour, which is how long a token lives by default. */
const renewBelowMs = 10 * 60_000;
const leftOf = ({ expiresAt }: StoredLogin): number => expiresAt.getTime() - Date.now();

/** Renewed by itself while it is used: a command that waits for hours keeps its login. One that cannot be renewed serves until its end. */
function kept(env: Surroundings["env"], login: StoredLogin): Session {
  let current = login;
  let belowMs = renewBelowMs;
  let renewing: Promise<void> | null = null;
  const renew = async (): Promise<void> => {
    // Another command may have renewed it meanwhile.
    const stored = await readLogin(env);
    if (stored?.url === current.url && stored.expiresAt > current.expiresAt) current = stored;
    else {
      const renewedLogin = { url: current.url, ...(await renewLogin(current.url, current.token)) };
      await writeLogin(env, renewedLogin).catch(() => undefined); // In a home that cannot be written it serves this command.
      current = renewedLogin;
    }
  };
  // Not with each request where tokens are short, or come to the end of what a login may last.
  const settle = () => {
    renewing = null;
    belowMs = Math.min(renewBelowMs, leftOf(current) / 2);
  };
  const token = async () => {
    if (current.renewable !== false && leftOf(current) < belowMs)
      await (renewing ??= renew()
        .catch(() => undefined)
        .finally(settle));
    return current.token;
  };
  const headers = async () => authorisation(await token());
  return { url: login.url, source: `login of ${login.username}`, token, headers, renew: async () => false };
}

function renewed(hub: EmbeddedHub): Session {
  const token = () => embeddedToken(hub, { fresh: false });
  return {
    url: hub.url,
    source: `embedded stack in ${hub.home}`,
    token,
    headers: async () => authorisation(await token()),
    renew: async () => {
      await embeddedToken(hub, { fresh: true });
      return true;
    },
  };
}

/** A token of ours has three parts between dots; whatever else was given is an API key. */
const authorisation = (token: string): Record<string, string> =>
  token.split(".").length === 3 ? { authorization: `Bearer ${token}` } : { "x-api-key": token };

/** The address as it is compared and called: without a path's end, with a scheme. */
export function baseOf(address: string): string {
  const url = URL.parse(/^https?:\/\//.test(address) ? address : `http://${address}`);
  if (url === null)
    throw new FaultError({ code: "invalid_request", message: `${address} is not an address such as https://hub.example.com.` });
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}
