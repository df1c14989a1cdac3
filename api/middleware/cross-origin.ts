/**
 * Which web pages of others may call the API. Addresses of no browser are never asked; of all browsers when a star stands for them. No cookie is taken
 * here, so a star is safe.
 *
 * The one idea: nothing is set on an answer before it is there: that would make a stream of it, which costs more than all else here.
 */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { setHeader } from "../headers.ts";
import type { ApiEnv } from "../http.ts";
import type { Hub } from "../ports.ts";

const always = [
  "X-Requested-With",
  "Accept",
  "Content-Type",
  "Authorization",
  "X-Api-Key",
  "X-Filter",
  "X-No-Cache",
  "X-Logging",
  "X-Source",
  "X-Source-Id",
  "If-None-Match",
  "If-Match",
];
const exposed = ["X-Request-Id", "Retry-After", "Location", "ETag", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"].join(",");

export function crossOrigin({ settings }: Pick<Hub, "settings">): MiddlewareHandler<ApiEnv> {
  const { origins, methods, headers } = settings.cors;
  const everybody = origins.includes("*");
  const allowHeaders = [...new Set([...always, ...headers.filter((header) => header !== "*")])];
  const preflight = cors({ origin: everybody ? "*" : [...origins], allowMethods: [...methods], allowHeaders, maxAge: 600 });
  return async (c, next) => {
    if (c.req.method === "OPTIONS") return preflight(c, next);
    await next();
    const origin = c.req.header("Origin") ?? "";
    if (everybody || origins.includes(origin)) setHeader(c, "Access-Control-Allow-Origin", everybody ? "*" : origin);
    setHeader(c, "Access-Control-Expose-Headers", exposed);
    if (!everybody) setHeader(c, "Vary", "Origin");
    return undefined;
  };
}
