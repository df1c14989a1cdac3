/**
 * `/audit`: who did what, and the proof that nobody edited it since.
 *
 * The one idea: only super users read it, and nobody writes it by a route: records come with what they tell.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { AuditProof, AuditRecord } from "../../domain/events/schema.ts";
import { listAudit, proveAudit } from "../../db/audit.ts";
import { faults, json } from "../http.ts";
import { authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { pageOf, pageQuery, routesOf } from "../route.ts";

const tags = ["audit"];
const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const named = z.string().min(1).max(512);

export function auditRoutes(hub: Hub) {
  const mayRead = authorised(hub, { superUser: true });
  const list = createRoute({
    method: "get",
    path: "/audit",
    operationId: "listAudit",
    summary: "List audit records, newest first",
    tags,
    middleware: mayRead,
    request: {
      query: z.object({
        actor: named.optional(),
        action: named.optional(),
        subject: named.optional(),
        outcome: AuditRecord.shape.outcome.optional(),
        operationId: z.uuid().optional(),
        since: time.optional(),
        until: time.optional(),
        ...pageQuery,
      }),
    },
    responses: { 200: json(pageOf(AuditRecord), "One page."), ...faults() },
  });
  const prove = createRoute({
    method: "get",
    path: "/audit/proof",
    operationId: "proveAudit",
    summary: "Prove that no audit record was edited or removed",
    tags,
    middleware: mayRead,
    request: { query: z.object({ number: z.coerce.number().int().positive().optional(), hash: named.optional() }) },
    responses: { 200: json(AuditProof, "What the look at every record came to."), ...faults() },
  });

  return routesOf()
    .openapi(list, async (c) => {
      const { cursor, limit, ...filter } = c.req.valid("query");
      return c.json(await listAudit(hub.db, filter, { cursor, limit }), 200);
    })
    .openapi(prove, async (c) => {
      const { number, hash } = c.req.valid("query");
      return c.json(await proveAudit(hub.db, number === undefined || hash === undefined ? null : { number, hash }), 200);
    });
}
