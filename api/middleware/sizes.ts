/**
 * How much a request may send: its address, and its body by the route that it is for.
 *
 * The one idea: what may be large is named. Everybody may call the routes that log in, so those take little; only a script is ever long.
 */
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import type { ApiEnv } from "../http.ts";

const mebibyte = 1024 * 1024;
const limited = [
  /** A script of 1 MiB grows to 6 MiB when each of its characters is escaped in JSON, and histories of workflows are as long. */
  { path: /^\/codec\/|\/(execute|actions)$/, bytes: 8 * mebibyte },
  /** Names, passwords and tokens, from callers whom nobody knows yet. */
  { path: /^\/api\/(v1\/auth\/|v2\/login)/, bytes: 64 * 1024 },
  /** Certificates, lists of changes and descriptions: none of them is near that. */
  { path: /^/, bytes: 2 * mebibyte },
].map(({ path, bytes }) => ({ path, bounded: bounded(bytes) }));

function bounded(maxSize: number): MiddlewareHandler<ApiEnv> {
  return bodyLimit({
    maxSize,
    onError: () => {
      throw new HTTPException(413, { message: `The body has more than ${maxSize} bytes, which is the limit of this route.` });
    },
  });
}

/** Filters and cursors of lists have hundreds; below the 16 KiB that all headers together may have. */
const longestAddress = 8 * 1024;

export const boundedRequest: MiddlewareHandler<ApiEnv> = (c, next) => {
  if (c.req.url.length > longestAddress)
    throw new HTTPException(414, { message: `The address has more than ${longestAddress} characters.` });
  if (c.req.method === "GET" || c.req.method === "HEAD") return next();
  return limited.find(({ path }) => path.test(c.req.path))?.bounded(c, next) ?? next();
};
