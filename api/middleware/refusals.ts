/**
 * Writes down who was refused what they wanted to change.
 *
 * The one idea: a refusal leaves nothing else behind, so the audit is the only place that can tell of it. It never decides how the request is answered.
 */
import type { Context, MiddlewareHandler, Next } from "hono";
import { routePath } from "hono/route";
import { recordAudit } from "../../db/audit.ts";
import type { ApiEnv } from "../http.ts";
import type { Hub } from "../ports.ts";
import { withoutSecrets } from "./request.ts";

const reads = new Set(["GET", "HEAD", "OPTIONS"]);
/** Whoever has no credentials must not be able to fill the audit: so many a minute tell an operator enough. */
const strangersPerMinute = 60;
const minuteMs = 60_000;

export function auditRefusals({ db, log }: Pick<Hub, "db" | "log">): MiddlewareHandler<ApiEnv> {
  // Whom a signature vouches for is told also while strangers knock without end.
  const [strangers, vouched] = [atMost(strangersPerMinute), atMost(strangersPerMinute)];
  const told = async (c: Context<ApiEnv>, next: Next): Promise<void> => {
    await next();
    const { status } = c.res;
    if (status !== 401 && status !== 403) return;
    if (!c.var.actor && !(c.var.claimant?.verified ? vouched : strangers)()) return;
    await recordAudit(db, refusal(c)).catch((err: unknown) =>
      log.warn({ event: "audit.untold", err }, "A refusal could not be written to the audit."),
    );
  };
  return (c, next) => (reads.has(c.req.method) ? next() : told(c, next));
}

/** Whether one more may be told in this minute. */
function atMost(perMinute: number): () => boolean {
  let told = { minute: 0, count: 0 };
  return () => {
    const minute = Math.floor(Date.now() / minuteMs);
    told = told.minute === minute ? { minute, count: told.count + 1 } : { minute, count: 1 };
    return told.count <= perMinute;
  };
}

/** The path of a stranger is not kept: it may hold what they put into the wrong place. Whom their token named is. */
function refusal(c: Context<ApiEnv>) {
  const { actor, requestId, source, claimant } = c.var;
  const route = routePath(c, -1);
  return {
    actor: actor?.username ?? "anonymous",
    action: `${c.req.method} ${route}`,
    subject: actor ? withoutSecrets(c.req.path) : (claimant?.subject ?? route),
    outcome: "refused" as const,
    requestId,
    source,
  };
}
