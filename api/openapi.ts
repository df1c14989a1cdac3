/**
 * Writes the committed OpenAPI document: `npm run openapi`. A test compares it with what the routes say.
 *
 * The one idea: the document comes from the routes alone, so it is made without any of the hub's parts; no handler is ever called.
 */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { modules } from "../domain/config/modules.ts";
import { createApp } from "./app.ts";
import { openApiDocument } from "./docs.ts";
import type { Hub } from "./ports.ts";

export const openApiFile = fileURLToPath(new URL("./openapi.json", import.meta.url));

/** Everything that shapes the routes. What only serves them is absent: no route asks for it before it is called. */
const shaping = {
  log: pino({ level: "silent" }),
  checks: {},
  reads: {},
  settings: {
    prefix: "/api",
    modules,
    cors: { origins: [], methods: [], headers: [] },
    codec: { path: null, origin: null },
    limits: { mostOpen: 1, mostDelayMs: 1 },
    proxies: { trusted: [], header: "x-forwarded-for" },
    version: "0",
  },
};

export function documentText(): string {
  return `${JSON.stringify(openApiDocument(createApp(shaping as unknown as Hub), "0"), null, 2)}\n`;
}

if (import.meta.main) await writeFile(openApiFile, documentText());
