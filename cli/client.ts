/**
 * The hub's API as typed calls.
 *
 * The one idea: an answer is parsed by the vocabulary before anyone reads it, and a fault of the hub arrives as the same fault here, remedy included.
 */
import { setTimeout as after } from "node:timers/promises";
import { z } from "zod";
import { FaultError, isCode, type Fault } from "../domain/errors.ts";
import type { Session } from "./access/session.ts";
import type { Answered } from "./problem.ts";
import { HubProblem, page } from "./wire.ts";

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;
export interface Asking {
  readonly query?: Query;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  /** For who sends a request again that was refused: the same key is the same request. */
  readonly key?: string;
}

export interface Client {
  readonly url: string;
  readonly session: Session;
  get<T>(path: string, schema: z.ZodType<T>, asking?: Asking): Promise<T>;
  send<T>(method: "POST" | "PUT" | "PATCH" | "DELETE", path: string, schema: z.ZodType<T>, asking?: Asking): Promise<T>;
  /** All items of a list, or the first `limit`. */
  list<T>(path: string, item: z.ZodType<T>, query?: Query, limit?: number): Promise<T[]>;
  /** The answer itself, for what is not JSON. Not bounded in time. */
  raw(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal, method?: "GET" | "POST"): Promise<Response>;
}

/** A wait at the hub lasts up to 60 s; whoever is silent for longer than that and a slow network is gone. */
const silentMs = 90_000;
/** A request whose answer was lost is sent again; its idempotency key makes that safe. A hub that restarts is back within seconds. */
const pausesMs = [300, 1_500];
const pageSize = 200;
/** An answer without content. */
export const Nothing = z.unknown();

export const pathOf = (...segments: string[]): string => `/${segments.map(encodeURIComponent).join("/")}`;

export function openClient(session: Session): Client {
  const base = `${session.url}/api/v2`;

  async function ask(method: string, path: string, { query, body, signal, key }: Asking = {}): Promise<unknown> {
    const headers = {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(method === "POST" ? { "idempotency-key": key ?? crypto.randomUUID() } : {}),
    };
    const limit = AbortSignal.timeout(silentMs);
    const once = () =>
      authorised(session, (authorisation) =>
        fetch(withQuery(`${base}${path}`, query), {
          method,
          headers: { accept: "application/json", ...headers, ...authorisation },
          signal: signal ? AbortSignal.any([signal, limit]) : limit,
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        }),
      );
    const response = await persistent(session.url, once, { repeatable: method === "GET" || method === "POST", signal });
    return decoded(await checked(response));
  }

  const get = async <T>(path: string, schema: z.ZodType<T>, asking?: Asking) => understood(await ask("GET", path, asking), schema, path);
  return {
    url: session.url,
    session,
    get,
    send: async (method, path, schema, asking) => understood(await ask(method, path, asking), schema, path),
    list: async (path, item, query = {}, limit = Number.POSITIVE_INFINITY) => {
      const found = [];
      let cursor: string | undefined;
      do {
        const size = Math.min(pageSize, limit - found.length);
        const { items, nextCursor } = await get(path, page(item), { query: { ...query, limit: size, cursor } });
        found.push(...items);
        cursor = nextCursor ?? undefined;
      } while (cursor !== undefined && found.length < limit);
      return found.slice(0, limit);
    },
    raw: async (path, headers, signal, method = "GET") => {
      const once = () =>
        authorised(session, (authorisation) => fetch(`${base}${path}`, { method, headers: { ...headers, ...authorisation }, signal }));
      return checked(await persistent(session.url, once, { repeatable: false, signal }));
    },
  };
}

/** Sends a request with the session's token; a token that ended meanwhile is renewed once, where the session can. */
async function authorised(session: Session, send: (headers: Record<string, string>) => Promise<Response>): Promise<Response> {
  const response = await send(await session.headers());
  if (response.status !== 401 || !(await session.renew())) return response;
  await response.body?.cancel();
  return send(await session.headers());
}

interface Persistence {
  readonly repeatable: boolean;
  readonly signal: AbortSignal | undefined;
}

async function persistent(url: string, once: () => Promise<Response>, { repeatable, signal }: Persistence): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await once();
    } catch (cause) {
      if (cause instanceof FaultError || signal?.aborted) throw cause;
      const pause = pausesMs[attempt];
      const reason = reasonOf(cause);
      // Nobody listens: no answer was lost, so there is nothing to wait for.
      if (!repeatable || pause === undefined || /ECONNREFUSED|ENOTFOUND/.test(reason)) throw unreachable(url, reason, cause);
      await after(pause);
    }
  }
}

export const unreachable = (url: string, reason: string, cause?: unknown): FaultError =>
  new FaultError({ code: "hub_unavailable", message: `The hub at ${url} does not answer (${reason}).` }, { cause });

export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${silentMs / 1000} s`;
  const { cause } = error;
  if (cause instanceof AggregateError && cause.errors[0] instanceof Error) return reasonOf(cause.errors[0]);
  if (cause instanceof Error) return "code" in cause ? String(cause.code) : cause.message;
  return "code" in error ? String(error.code) : error.message;
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const told = HubProblem.safeParse(await decoded(response).catch(() => null)).data;
  throw new FaultError(faultOf(response, told));
}

/** The hub's fault in our terms; a code that this release does not know keeps its own name and remedy. */
export function faultOf({ status, url }: { status: number; url: string }, told: z.infer<typeof HubProblem> | undefined): Fault {
  if (told === undefined) {
    const answered: Answered = {
      status,
      code: "hub_answer",
      remedy: "See that the address is the hub's API and that no proxy stands in between.",
    };
    return { code: "internal", message: `${url} answered with status ${status} and not as a hub does.`, details: { ...answered } };
  }
  const { code, message, remedy, requestId, details = {} } = told;
  const known = isCode(code);
  const answered: Answered = {
    ...(requestId === undefined ? {} : { requestId }),
    ...(remedy === "" ? {} : { remedy }),
    ...(known ? {} : { code, status }),
  };
  return { code: known ? code : "internal", message, details: { ...details, ...answered } };
}

async function decoded(response: Response): Promise<unknown> {
  const text = await response.text();
  return text === "" ? null : JSON.parse(text);
}

function understood<T>(value: unknown, schema: z.ZodType<T>, path: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const remedy = "Use the `drover` of the hub's own release (`drover version`).";
  const message = `The hub's answer to ${path} is not understood: ${z.prettifyError(parsed.error).replace(/\s+/g, " ")}.`;
  throw new FaultError({ code: "internal", message, details: { remedy } });
}

function withQuery(url: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (given.length === 0) return url;
  return `${url}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}
