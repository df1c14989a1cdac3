/**
 * What every route of ours shares: who may call it, how a page is asked for, how a create is repeated safely.
 *
 * The one idea: a route is a schema and one call; its claims stand in the route, beside its path.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { z } from "zod";
import type { Asked } from "../control/start.ts";
import { rejectInvalid, type ApiEnv } from "./http.ts";
import { actorOf } from "./middleware/authorise.ts";

export const routesOf = () => new OpenAPIHono<ApiEnv>({ defaultHook: rejectInvalid });

/** 100 rows are a screen and a few milliseconds; 500 are the most that one answer holds. */
export const pageQuery = { cursor: z.string().max(512).optional(), limit: z.coerce.number().int().min(1).max(500).default(100) };
export const pageOf = <S extends z.ZodType>(schema: S) => z.object({ items: z.array(schema), nextCursor: z.string().nullable() });

export const idempotent = z.object({ "idempotency-key": z.string().min(1).max(255).optional() });

/** With a key, the same request again is the same operation. */
export function askedBy(c: Context<ApiEnv>, body?: unknown): Asked {
  const key = c.req.header("Idempotency-Key");
  const idempotency = key === undefined ? {} : { idempotency: { key, route: `${c.req.method} ${c.req.path}`, body: body ?? null } };
  return { actor: actorOf(c), requestId: c.var.requestId, source: c.var.source, ...idempotency };
}
