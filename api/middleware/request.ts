/**
 * What every request gets: an id, one line in the log, and a look at what no table takes.
 *
 * The one idea: the log tells the path without what follows it, because addresses may carry tokens; and where a path names nothing of ours, only which
 * route it came to, because somebody may have put a secret in the wrong place.
 */
import type { Context, MiddlewareHandler, Next } from "hono";
import { HTTPException } from "hono/http-exception";
import { routePath } from "hono/route";
import type { Logger } from "pino";
import { setHeader } from "../headers.ts";
import type { ApiEnv } from "../http.ts";
import type { Metrics } from "../metrics.ts";

/** A client's own id is taken where it is harmless in a log. */
const harmless = /^[\w.:-]{1,128}$/;
/** HEAD is served as GET without its body, and a stream that nobody reads would go on for ever. */
export const headsEnd: MiddlewareHandler<ApiEnv> = (c, next) =>
  c.req.method === "HEAD" ? next().then(() => void c.res.body?.cancel()) : next();

/** Parts of paths that are secrets themselves. */
export const withoutSecrets = (path: string): string => path.replace(/(\/codec\/|\/enrollment-token\/)[^/]+/, "$1***");
const missed = new Set([400, 401, 404, 405]);
/** Asked for every few seconds by balancers and supervisors. */
const quiet = /health|readyz|metrics/;

/** `sourceOf`: the address behind a request. */
export const requestLog = (log: Logger, metrics: Metrics, sourceOf: (c: Context) => string): MiddlewareHandler<ApiEnv> => {
  // None of these fields is ever a secret, so none has to be looked for in each line.
  const lines = log.child({}, { redact: [] });
  return async (c, next) => {
    const sent = c.req.header("X-Request-Id");
    const requestId = sent !== undefined && harmless.test(sent) ? sent : crypto.randomUUID();
    c.set("requestId", requestId);
    c.set("log", log);
    c.set("source", sourceOf(c));
    const began = performance.now();
    await next();
    setHeader(c, "X-Request-Id", requestId);
    const ms = performance.now() - began;
    metrics.answered({ method: c.req.method, route: routePath(c, -1), status: c.res.status, seconds: ms / 1000 });
    if (quiet.test(c.req.path)) return;
    const actor = c.get("actor")?.username;
    lines.info(
      {
        event: "request",
        requestId,
        method: c.req.method,
        path: missed.has(c.res.status) ? routePath(c, -1) : withoutSecrets(c.req.path),
        status: c.res.status,
        ms: Math.round(ms),
        actor,
        source: c.var.source,
      },
      "request",
    );
  };
};

/** What they announce is not waited for. */
const bodyless = new Set(["GET", "HEAD", "TRACE"]);

/** PostgreSQL stores no zero character, so a request that holds one is refused before it reaches a table. */
export const withoutZeros: MiddlewareHandler<ApiEnv> = (c, next) => {
  if (c.req.url.includes("%00")) throw new HTTPException(400, holdsZero);
  return bodyless.has(c.req.method) || c.req.header("Content-Length") === "0" ? next() : bodyWithoutZeros(c, next);
};

async function bodyWithoutZeros(c: Context<ApiEnv>, next: Next): Promise<void> {
  if (/\\u0000|\0/.test(await c.req.text())) throw new HTTPException(400, holdsZero);
  return next();
}

const holdsZero = { message: "The request holds a zero character." };
