/**
 * How a route of the wire is declared and served.
 *
 * The one idea: a route is one record (method, path, claims, status, shapes) and one function; documentation, permission, the reading of its body and its
 * status all come from the record, so that two hundred routes repeat nothing.
 */
import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import type { StatusCode, ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";
import type { Needs } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import type { Module } from "../../domain/config/modules.ts";
import { describeIssues, json, type ApiEnv } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Asked } from "../../control/start.ts";
import type { Hub } from "../ports.ts";
import { OAuthErrorResponse, refusal, refusalSchema } from "./errors.ts";
import { respell } from "./keys.ts";

type Method = "get" | "post" | "put" | "patch" | "delete";

export interface RouteOptions<Body extends z.ZodType> {
  /** Another method that some clients use for the same. */
  readonly also?: Method;
  readonly tag: string;
  readonly needs: Needs | "public";
  readonly status: StatusCode;
  /** Others that it may have, with the same body. */
  readonly orStatus?: readonly StatusCode[];
  /** Absent: whatever is sent is ignored. */
  readonly body?: Body;
  /** Absent: the answer has no body. "text": lines of text. */
  readonly reply?: z.ZodType | "text";
}

export interface Call<Body> {
  readonly c: Context<ApiEnv>;
  readonly actor: Actor;
  /** The wire's clients know nothing of parking: what goes wrong fails. */
  readonly asked: Asked;
  readonly body: Body;
  param(name: string): string;
  query(name: string): string | undefined;
}
/** What it returns is the answer's body; a `Response` is sent as it is. */
type Handler<Body> = (call: Call<Body>) => Promise<unknown>;

/** `path` stands below `/api/v1`, as OpenAPI writes it. */
export type Mount = <Body extends z.ZodType = z.ZodUndefined>(
  method: Method,
  path: string,
  summary: string,
  options: RouteOptions<Body>,
  handler: Handler<z.output<Body>>,
) => void;

interface WireRoute<Body extends z.ZodType> extends RouteOptions<Body> {
  readonly path: string;
  readonly summary: string;
}

/** Mounts routes of one module, or none of them where the module is not enabled. */
export function mounting(app: OpenAPIHono<ApiEnv>, hub: Hub, module?: Module): Mount {
  if (module !== undefined && !hub.settings.modules.includes(module)) return () => {};
  return (method, path, summary, options, handler) => {
    const route = { ...options, path, summary };
    for (const one of options.also === undefined ? [method] : [method, options.also]) {
      app.openAPIRegistry.registerPath(documented(route, one));
      const guard: MiddlewareHandler<ApiEnv> = options.needs === "public" ? (_, next) => next() : authorised(hub, options.needs);
      app.on(one.toUpperCase(), `/api/v1${path.replaceAll(/\{(\w+)\}/g, ":$1")}`, guard, (c) => served(c, route, handler));
    }
  };
}

async function served<Body extends z.ZodType>(
  c: Context<ApiEnv>,
  route: WireRoute<Body>,
  handler: Handler<z.output<Body>>,
): Promise<Response> {
  const body = await readBody(c, route.body);
  const call: Call<z.output<Body>> = {
    c,
    body,
    get actor() {
      return actorOf(c);
    },
    get asked(): Asked {
      return { actor: actorOf(c), requestId: c.var.requestId, source: c.var.source, onFault: "fail" };
    },
    param: (name) => c.req.param(name) ?? "",
    query: (name) => c.req.query(name),
  };
  const answer = await handler(call);
  if (answer instanceof Response) return answer;
  if (answer === undefined) return c.body(null, route.status, { "Content-Type": "application/json" });
  return c.json(answer, route.status as ContentfulStatusCode);
}

async function readBody<Body extends z.ZodType>(c: Context<ApiEnv>, schema: Body | undefined): Promise<z.output<Body>> {
  const sent = schema === undefined ? undefined : respell(schema, parsedJson(await c.req.text()));
  // A route that declares no body has the schema of one that is absent.
  const result = (schema ?? z.undefined()).safeParse(sent);
  if (result.success) return result.data as z.output<Body>;
  throw refusal(400, `Invalid request body: ${describeIssues(result.error)}`);
}

function parsedJson(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    throw refusal(400, "Invalid request body: it is not valid JSON");
  }
}

function answered({ reply }: Pick<WireRoute<z.ZodType>, "reply">) {
  if (reply === undefined) return { description: "Done." };
  if (reply === "text") return { description: "Lines.", content: { "text/plain": { schema: z.string() } } };
  return json(reply, "The answer.");
}

function documented<Body extends z.ZodType>(route: WireRoute<Body>, method: Method) {
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? "");
  const params = names.length === 0 ? {} : { params: z.object(Object.fromEntries(names.map((name) => [name, z.string()]))) };
  const body = route.body === undefined ? {} : { body: json(route.body, "What is asked for.") };
  const refused = route.needs === "public" ? {} : { 401: json(OAuthErrorResponse, "Not logged in, or not allowed.") };
  return createRoute({
    method,
    path: `/api/v1${route.path}`,
    operationId: `wire${method}${route.path.replaceAll(/\W+/g, "_")}`,
    summary: route.summary,
    tags: [`wire: ${route.tag}`],
    ...(route.needs === "public" ? { security: [] } : {}),
    request: { ...params, ...body },
    responses: {
      ...Object.fromEntries([route.status, ...(route.orStatus ?? [])].map((status) => [status, answered(route)])),
      ...refused,
      default: json(refusalSchema(`/api/v1${route.path}`), "Refused."),
    },
  });
}
