/**
 * Which methods a path has, read from the documented routes.
 *
 * The one idea: a path that exists with another method is told so, with the methods that it has; only a path that nobody serves is "not found".
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { ApiEnv } from "./http.ts";

export function methodsAt(app: OpenAPIHono<ApiEnv>): (path: string) => string[] {
  let routes: { method: string; pattern: RegExp }[] | null = null;
  return (path) => {
    routes ??= app.openAPIRegistry.definitions.flatMap((definition) =>
      definition.type === "route" ? [{ method: definition.route.method.toUpperCase(), pattern: patternOf(definition.route.path) }] : [],
    );
    const found = new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method));
    if (found.size === 0) return [];
    return [...found, ...(found.has("GET") ? ["HEAD"] : []), "OPTIONS"];
  };
}

const patternOf = (path: string): RegExp =>
  new RegExp(
    `^${path
      .split(/\{\w+\}/)
      .map(RegExp.escape)
      .join("[^/]+")}$`,
  );
