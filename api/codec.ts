/**
 * The codec endpoint, where the Temporal web UI and command line have payloads made readable.
 *
 * The one idea: whoever may decode reads everything. In the embedded stack the address itself is a secret, known on this computer only; elsewhere it takes
 * a super user's token, or their session in a page of the web UI.
 */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { cors } from "hono/cors";
import { z } from "zod";
import { mayUse } from "../domain/access/rules.ts";
import { FaultError } from "../domain/errors.ts";
import type { Logins } from "./access/login.ts";
import { hasSession, sessionRoutes } from "./codec-session.ts";
import { parsed, type ApiEnv } from "./http.ts";
import { identify } from "./middleware/authenticate.ts";
import type { Hub } from "./ports.ts";
import { peerOf } from "./source.ts";

const Base64 = z.base64().transform((text) => new Uint8Array(Buffer.from(text, "base64")));
const Payloads = z.object({ payloads: z.array(z.object({ metadata: z.record(z.string(), Base64).optional(), data: Base64.optional() })) });

export function codecRoutes(hub: Hub, login: Logins): OpenAPIHono<ApiEnv> {
  const { path, origin } = hub.settings.codec;
  const routes = new OpenAPIHono<ApiEnv>();
  const allowHeaders = ["Authorization", "Content-Type", "X-Namespace"];
  if (origin !== null) routes.use("/codec/*", cors({ origin, allowHeaders, allowMethods: ["POST"], credentials: true }));
  sessionRoutes(hub, login, routes);
  for (const act of ["encode", "decode"] as const) {
    routes.post(`/codec/:secret/${act}`, async (c) => {
      const knowsPath = path !== null && c.req.param("secret") === path && isLocal(c);
      if (!knowsPath && !(await hasSession(hub, c))) await mustBeSuperUser(hub, c);
      const body = parsed(Payloads, await c.req.json().catch(() => null));
      const payloads = await hub.codec[act](
        body.payloads.map(({ metadata, data }) => ({ ...(metadata ? { metadata } : {}), ...(data ? { data } : {}) })),
      );
      return c.json({ payloads: payloads.map(asText) });
    });
  }
  return routes;
}

/** From this computer itself; a call inside the process comes from nowhere else either. */
const isLocal = (c: Context<ApiEnv>): boolean => [peerOf(c), c.var.source].every((address) => /^(127\.|::1$|unknown$)/.test(address));

async function mustBeSuperUser(hub: Hub, c: Parameters<typeof identify>[1]): Promise<void> {
  const identity = await identify(hub, c);
  if (!identity.ok)
    throw new FaultError({
      code: "unauthenticated",
      message: "The codec needs a super user's token, or a session made at /codec/session.",
    });
  const verdict = mayUse(identity.actor, { superUser: true });
  if (!verdict.ok) throw new FaultError(verdict.fault);
}

interface Payload {
  metadata?: Record<string, Uint8Array> | null;
  data?: Uint8Array | null;
}
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const asText = ({ metadata, data }: Payload) => ({
  metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([key, value]) => [key, base64(value)])),
  ...(data ? { data: base64(data) } : {}),
});
