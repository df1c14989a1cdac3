/**
 * The OpenAPI document and the page that shows it.
 *
 * The one idea: the page and its script come from this process, so the documentation works where nothing else can be reached.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { OpenAPIHono } from "@hono/zod-openapi";
import type { ApiEnv } from "./http.ts";

const assets: ReadonlyMap<string, string> = new Map([
  ["swagger-ui.css", "text/css"],
  ["swagger-ui-bundle.js", "text/javascript"],
]);
const folder = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));

export function documentation(described: OpenAPIHono<ApiEnv>, version: string): OpenAPIHono<ApiEnv> {
  const pages = new OpenAPIHono<ApiEnv>();
  let document: unknown = null;
  pages.get("/openapi.json", (c) => c.json((document ??= openApiDocument(described, version)) as object));
  pages.get("/docs", (c) => c.html(page));
  pages.get("/docs/start.js", (c) => c.body(start, 200, { "Content-Type": "text/javascript" }));
  pages.get("/docs/:asset", async (c, next) => {
    const name = c.req.param("asset");
    const type = assets.get(name);
    if (type === undefined) return next();
    return c.body(await readFile(join(folder, name)), 200, { "Content-Type": type, "Cache-Control": "max-age=86400" });
  });
  return pages;
}

export function openApiDocument(described: OpenAPIHono<ApiEnv>, version: string): object {
  const registry = described.openAPIRegistry;
  if (!registry.definitions.some((definition) => definition.type === "component")) {
    registry.registerComponent("securitySchemes", "bearer", { type: "http", scheme: "bearer", bearerFormat: "JWT" });
    registry.registerComponent("securitySchemes", "apiKey", {
      type: "apiKey",
      in: "header",
      name: "X-Api-Key",
      description: "base64(key:secret)",
    });
  }
  return described.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Drover",
      version,
      description: "`/api/v2` is Drover's own API. `/api/v1` (also reached as `/api`) is the contract of the Parallels DevOps service.",
    },
    security: [{ bearer: [] }, { apiKey: [] }],
  });
}

const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Drover API</title><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="api"></div><script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>`;
const start = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#api", docExpansion: "none", filter: true, persistAuthorization: false });`;
