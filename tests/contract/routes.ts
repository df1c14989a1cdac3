/**
 * Every route of the API, as the app itself has them, with what each declares that it needs.
 *
 * The one idea: read from the router, not from a list or a document: a route that is served cannot be missing.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { ApiEnv } from "../../api/http.ts";
import { needsOf } from "../../api/middleware/authorise.ts";
import type { Needs } from "../../domain/access/rules.ts";

export interface Route {
  /** As in `GET /api/v2/machines/{idOrName}`. */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly needs: Needs | "public" | "undeclared";
}

/** Served beside the documented routes: pages, probes and the codec, which guards itself. */
const undocumented = /^\/(docs|openapi\.json|healthz|readyz|metrics|codec)(\/|$)/;

export function routesOf(app: OpenAPIHono<ApiEnv>): Route[] {
  const open = new Set(
    app.openAPIRegistry.definitions.flatMap((one) =>
      one.type === "route" && one.route.security?.length === 0 ? [`${one.route.method.toUpperCase()} ${one.route.path}`] : [],
    ),
  );
  const byName = Map.groupBy(
    // Middleware for many paths is no route.
    app.routes.filter(({ method }) => method !== "ALL"),
    ({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`,
  );
  return [...byName]
    .map(([name, handlers]) => {
      const [method = "", path = ""] = name.split(" ");
      const declared = handlers.flatMap(({ handler }) => needsOf(handler) ?? []);
      const needs: Route["needs"] = declared[0] ?? (open.has(name) || undocumented.test(path) ? "public" : "undeclared");
      return { name, method, path, needs };
    })
    .toSorted((a, b) => (`${a.path} ${a.method}` < `${b.path} ${b.method}` ? -1 : 1));
}

/** For whoever reviews the table. */
export function ruleOf({ needs }: Route): string {
  if (typeof needs === "string") return needs;
  const { claims = [], any, superUser, hubWide } = needs;
  const asked = superUser ? "super user" : claims.length === 0 ? "any user" : claims.join(any ? " or " : " and ");
  return hubWide ? `${asked} (hub)` : asked;
}
