/**
 * `/healthz`, `/readyz` and `/metrics` of a process that serves nothing else.
 *
 * The one idea: ready is a question to each part by name, so an answer of 503 says which one is missing.
 */
import { createServer } from "node:http";
import { Registry } from "prom-client";
import { FaultError } from "../domain/errors.ts";

/** Null when the part works, else what is wrong with it. */
export type Check = () => Promise<string | null>;

export interface Health {
  readonly host: string;
  readonly port: number;
  readonly checks: Readonly<Record<string, Check>>;
  readonly registry: Registry;
  /** Metrics of Temporal's core, which serves them on a port of its own. */
  readonly coreMetricsUrl?: string;
}

/** A part that does not answer in a second is not ready. */
const checkMs = 1_000;

export async function serveHealth({ host, port, checks, registry, coreMetricsUrl }: Health): Promise<{ close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const answer = (status: number, body: string, type = "application/json") =>
      response.writeHead(status, { "content-type": type }).end(body);
    const routes: Record<string, () => Promise<unknown>> = {
      "/healthz": async () => answer(200, JSON.stringify({ status: "ok" })),
      "/readyz": async () => {
        const missing = await missingParts(checks);
        answer(Object.keys(missing).length === 0 ? 200 : 503, JSON.stringify({ ready: Object.keys(missing).length === 0, missing }));
      },
      "/metrics": async () =>
        answer(200, (await registry.metrics()) + (await coreMetrics(coreMetricsUrl)), Registry.PROMETHEUS_CONTENT_TYPE),
    };
    const route = routes[request.url ?? ""] ?? (async () => answer(404, JSON.stringify({ status: "unknown path" })));
    route().catch(() => answer(500, JSON.stringify({ status: "failed" })));
  });
  await new Promise<void>((resolve, reject) => {
    const refused = (cause: Error) =>
      reject(new FaultError({ code: "port_in_use", message: `Port ${port}, for health and metrics, cannot be opened.` }, { cause }));
    server.once("error", refused).listen(port, host, resolve);
  });
  return {
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function missingParts(checks: Health["checks"]): Promise<Record<string, string>> {
  const asked = Object.entries(checks).map(async ([name, check]) => {
    const late = new Promise<string>((resolve) => setTimeout(() => resolve("does not answer"), checkMs).unref());
    const problem = await Promise.race([check(), late]).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    return problem === null ? [] : [[name, problem] as const];
  });
  return Object.fromEntries((await Promise.all(asked)).flat());
}

async function coreMetrics(url: string | undefined): Promise<string> {
  if (url === undefined) return "";
  return fetch(url, { signal: AbortSignal.timeout(checkMs) }).then(
    (answer) => answer.text(),
    () => "",
  );
}
