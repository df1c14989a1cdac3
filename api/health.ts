/**
 * Whether this process lives, whether it can serve, and its figures; and the wire's probes.
 *
 * The one idea: "not ready" names the part that is missing.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import { z } from "zod";
import type { ApiEnv } from "./http.ts";
import type { Metrics } from "./metrics.ts";
import type { Hub } from "./ports.ts";
import type { Mount } from "./wire/mount.ts";

/** A part that takes longer to answer than a balancer waits is not ready. */
const checkMs = 2_000;

export function healthRoutes(hub: Hub, { registry }: Metrics): OpenAPIHono<ApiEnv> {
  const routes = new OpenAPIHono<ApiEnv>();
  routes.get("/healthz", (c) => c.json({ status: "ok" }));
  routes.get("/readyz", async (c) => {
    const missing = await missingParts(hub);
    return c.json({ ready: missing.length === 0, missing }, missing.length === 0 ? 200 : 503);
  });
  routes.get("/metrics", async (c) => c.body(await registry.metrics(), 200, { "Content-Type": registry.contentType }));
  return routes;
}

export async function missingParts({ checks, closing }: Hub): Promise<{ part: string; reason: string }[]> {
  const late = new Promise<string>((resolve) => setTimeout(resolve, checkMs, `did not answer within ${checkMs} ms`).unref());
  const told = await Promise.all(
    Object.entries(checks).map(async ([part, check]) => {
      const reason = await Promise.race([check().catch((error: unknown) => (error instanceof Error ? error.message : "failed")), late]);
      return reason === null ? [] : [{ part, reason }];
    }),
  );
  return [...told.flat(), ...(closing.aborted ? [{ part: "api", reason: "shuts down" }] : [])];
}

const ServiceHealth = z.object({ name: z.string(), healthy: z.boolean(), error_message: z.string().optional() });
const ApiHealthCheck = z
  .object({
    healthy: z.boolean(),
    message: z.string().optional(),
    error_message: z.string().optional(),
    services: z.array(ServiceHealth).optional(),
  })
  .meta({ id: "ApiHealthCheck" });

export function healthWireRoutes(hub: Hub, mount: Mount): void {
  const tag = "health";
  const probe = z.object({ status: z.string() }).meta({ id: "HealthProbeResponse" });
  mount("get", "/health/probe", "Tell that the service answers", { tag, needs: "public", status: 200, reply: probe }, async () => ({
    status: "OK",
  }));
  mount(
    "get",
    "/health/system",
    "Tell which services work",
    { tag, needs: "public", status: 200, reply: ApiHealthCheck },
    async ({ query }) => {
      const missing = await missingParts(hub);
      const parts = Object.keys(hub.checks).map((name) => {
        const lack = missing.find(({ part }) => part === name);
        return { name, healthy: lack === undefined, ...(lack === undefined ? {} : { error_message: lack.reason }) };
      });
      const services = [{ name: "Parallels Desktop Service", healthy: missing.length === 0 }, ...(query("full") === "true" ? parts : [])];
      if (missing.length === 0) return { healthy: true, message: "All Services Running", services };
      return { healthy: false, error_message: missing.length < parts.length ? "Service Degraded" : "Service Unhealthy", services };
    },
  );
  mount("get", "/version", "Tell the version", { tag, needs: {}, status: 200, reply: z.object({ version: z.string() }) }, async () => ({
    version: hub.settings.version,
  }));
}
