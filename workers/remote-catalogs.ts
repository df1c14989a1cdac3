/**
 * The other side of a catalog manager: another hub, or a Parallels DevOps service, asked as its own clients ask it.
 *
 * The one idea: credentials are opened for a request and leave this file only inside it, to the address that they belong to. What the other side answers is
 * bounded in size and time, whatever it is.
 */
import { z } from "zod";
import type { Remotes } from "../api/ports.ts";
import type { Database } from "../db/connect.ts";
import { sealedManagerCredentials } from "../db/catalog-managers.ts";
import type { CatalogManager, ManagerCredentials, RemoteAnswer, RemoteCatalog, RemoteRequest } from "../domain/catalog/managers.ts";
import { FaultError } from "../domain/errors.ts";
import { outbound, textOf, type Incoming, type Outgoing, type Reach } from "../security/outbound.ts";
import { managerSeal } from "../security/sealed-texts.ts";
import type { Sealer } from "../security/sealing.ts";

export interface Reaching {
  /** Hosts that may be asked wherever they are. */
  readonly allowed: readonly string[];
  readonly unchecked: boolean;
}
interface Parts {
  readonly db: Database;
  readonly sealer: Sealer;
  readonly reaching: Reaching;
}

/** A catalog of ten thousand versions is some 10 MiB. */
const mostBytes = 32 * 1024 * 1024;
/** The contract's own limit for what is passed on; a push or an import of the other side lasts as long as it lasts. */
const answerMs = 5 * 60_000;
/** Tokens last 15 minutes there; one that ends while a request travels costs a second login only. */
const tokenMs = 10 * 60_000;
/** More managers than are in use within ten minutes; bounds the memory. */
const rememberedTokens = 1_000;

type Place = Pick<CatalogManager, "id" | "url" | "trusted">;
const Login = z.object({ token: z.string().min(1) });

export function remoteCatalogs({ db, sealer, reaching }: Parts): Remotes {
  const tokens = new Map<string, { token: string; until: number }>();
  const kept = async (id: string): Promise<Kept> => {
    const sealed = await sealedManagerCredentials(db, id);
    if (sealed) return { ...(await managerSeal(sealer).open(id, sealed)), mark: Buffer.from(sealed).toString("base64") };
    throw new FaultError({ code: "remote_denied", message: "The catalog manager has no credentials.", subject: id });
  };
  return {
    open: (place, given) => {
      const link = linkTo(place, reachOf(place, reaching));
      const headers = async (fresh: boolean): Promise<Record<string, string>> => {
        const { apiKey, username, password, mark } = given ? { ...given, mark: null } : await kept(place.id);
        if (apiKey !== "") return { "X-Api-Key": apiKey };
        const known = mark === null ? undefined : tokens.get(mark);
        if (known && !fresh && known.until > Date.now()) return { Authorization: `Bearer ${known.token}` };
        const token = await link.login(username, password);
        if (tokens.size >= rememberedTokens) tokens.clear();
        if (mark !== null) tokens.set(mark, { token, until: Date.now() + tokenMs });
        return { Authorization: `Bearer ${token}` };
      };
      return catalogBehind(link, headers);
    },
  };
}

/** `mark` changes with every change of the credentials, so a token of earlier ones is used no more, whichever process changed them. */
type Kept = ManagerCredentials & { readonly mark: string };

function reachOf({ url, trusted }: Place, { allowed, unchecked }: Reaching): Reach {
  const { hostname } = new URL(url);
  const listed = allowed.some((host) => host.toLowerCase() === hostname.replace(/^\[|\]$/g, "").toLowerCase());
  return unchecked || listed ? "any" : trusted ? "private" : "public";
}

type Link = ReturnType<typeof linkTo>;

function linkTo({ url: base }: Place, reach: Reach) {
  const send = async (path: string, asking: Omit<Outgoing, "reach">): Promise<Incoming> => {
    try {
      return await outbound(new URL(`${base}${path}`), { ...asking, reach });
    } catch (cause) {
      throw cause instanceof FaultError ? cause : unreachable(base, asking.signal.aborted ? "no answer in time" : reasonOf(cause), cause);
    }
  };
  const ask = async (path: string, asking: Omit<Outgoing, "reach">): Promise<RemoteAnswer> => {
    const { status, headers, body } = await send(path, asking);
    // Where it sends us is not where an administrator did.
    if (status >= 300 && status < 400) {
      body.destroy();
      throw unreachable(base, "it answers with a redirect, which is not followed");
    }
    const text = await textOf(body, mostBytes, base).catch((cause: unknown) => {
      throw unreachable(base, cause instanceof FaultError ? cause.fault.message : reasonOf(cause), cause);
    });
    return { status, contentType: headers["content-type"] ?? "", text };
  };
  const login = async (username: string, password: string): Promise<string> => {
    const body = JSON.stringify(username.includes("@") ? { email: username, password } : { username, password });
    const headers = { "Content-Type": "application/json" };
    const { status, text } = await ask("/api/v1/auth/token", { method: "POST", headers, body, signal: AbortSignal.timeout(answerMs) });
    const read = status === 200 ? Login.safeParse(jsonOf(text)) : null;
    if (read?.success) return read.data.token;
    if (status === 404 || status === 400 || status === 401) throw denied(base);
    throw unreachable(base, `its login answers with status ${status}`);
  };
  return { base, send, ask, login };
}

function catalogBehind(link: Link, headers: (fresh: boolean) => Promise<Record<string, string>>): RemoteCatalog {
  const once = async (request: RemoteRequest, fresh: boolean) =>
    link.ask(`/api/v1${request.path}`, {
      method: request.method,
      headers: {
        Accept: "application/json",
        ...(request.body === undefined ? {} : { "Content-Type": "application/json" }),
        ...request.headers,
        ...(await headers(fresh)),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(answerMs)]),
    });
  return {
    ask: async (request) => {
      const first = await once(request, false);
      if (first.status !== 401) return first;
      // The token may have ended, or the other side was started anew with other keys.
      const second = await once(request, true);
      if (second.status === 401) throw denied(link.base);
      return second;
    },
    download: async (path, signal) => {
      const { status, body } = await link.send(`/api${path}`, { method: "GET", headers: await headers(true), signal });
      if (status === 200) return body;
      body.destroy();
      throw status === 401 ? denied(link.base) : unreachable(link.base, `a download answers with status ${status}`);
    },
  };
}

const unreachable = (base: string, why: string, cause?: unknown) =>
  new FaultError({ code: "remote_unreachable", message: `The catalog at ${base} cannot be used: ${why}.`, subject: base }, { cause });
const denied = (base: string) =>
  new FaultError({ code: "remote_denied", message: `The catalog at ${base} does not accept the manager's credentials.`, subject: base });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Codes only: what a foreign error says may hold anything. */
const reasonOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "the connection failed";
