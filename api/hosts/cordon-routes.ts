/**
 * `/hosts/{idOrName}/cordon`, `/uncordon`, `/drain`: closing a host to new machines.
 *
 * The one idea: a cordon is a change of a row, a drain an operation; both close the host before they answer.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { cordonHost, findHost } from "../../db/hosts.ts";
import { unwrap } from "../../domain/errors.ts";
import { Host, NewDrain } from "../../domain/hosts/schema.ts";
import { Operation } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, routesOf } from "../route.ts";
import { audited } from "../told.ts";
import { asSeen } from "./seen-cache.ts";

const tags = ["hosts"];
const params = z.object({ idOrName: z.string().min(1).max(128) });

export function cordonRoutes(hub: Hub) {
  const cordoning = (act: "cordon" | "uncordon", summary: string) =>
    createRoute({
      method: "post",
      path: `/hosts/{idOrName}/${act}`,
      operationId: `${act}Host`,
      summary,
      tags,
      middleware: authorised(hub, { claims: ["UPDATE"], hubWide: true }),
      request: { params },
      responses: { 200: json(Host, "The host."), ...faults("host_not_found", "host_draining") },
    });
  const cordon = cordoning("cordon", "Place no new machines on a host; what runs there goes on");
  const uncordon = cordoning("uncordon", "Let new machines come to a host again");
  const drain = createRoute({
    method: "post",
    path: "/hosts/{idOrName}/drain",
    operationId: "drainHost",
    summary: "Close a host to new machines and wait for, stop or retire those that are there",
    tags,
    middleware: authorised(hub, { claims: ["UPDATE", "DELETE"], hubWide: true }),
    request: { params, headers: idempotent, body: { required: true, ...json(NewDrain, "What happens to its machines.") } },
    responses: {
      202: json(Operation, "Accepted; the host is closed."),
      ...faults("host_not_found", "host_draining", "idempotency_conflict"),
    },
  });

  return routesOf()
    .openapi(cordon, async (c) => c.json(await cordoner(hub, c)(c.req.valid("param").idOrName, true), 200))
    .openapi(uncordon, async (c) => c.json(await cordoner(hub, c)(c.req.valid("param").idOrName, false), 200))
    .openapi(drain, async (c) => {
      const wanted = c.req.valid("json");
      return c.json(unwrap(await hub.operations.drain(c.req.valid("param").idOrName, wanted, askedBy(c, wanted))), 202);
    });
}

/** Closes the named host, or opens it, and answers it as the caller may see it. */
const cordoner = (hub: Hub, c: Parameters<typeof askedBy>[0]) => async (idOrName: string, closed: boolean) => {
  const { id, name } = unwrap(await findHost(hub.db, idOrName));
  const told = { action: closed ? "host.cordoned" : "host.uncordoned", subject: name };
  const host = await audited(hub, askedBy(c), told, async (tx) => unwrap(await cordonHost(tx, id, closed)));
  const [seen = host] = await asSeen(hub, actorOf(c), [host]);
  return seen;
};
