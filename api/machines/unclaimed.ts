/** `/unclaimed-machines` and `/machines/{id}/adopt`: machines that hosts report and no row claims, and how one becomes an ordinary machine. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { unclaimed, unclaimedMachines } from "../../db/unclaimed.ts";
import { unwrap } from "../../domain/errors.ts";
import { HostId, MachineId } from "../../domain/ids.ts";
import { Adoption, Unclaimed } from "../../domain/machines/schema.ts";
import { standings } from "../../domain/machines/truth.ts";
import { Operation } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, pageOf, routesOf } from "../route.ts";

const tags = ["machines"];

export function unclaimedRoutes(hub: Hub) {
  const list = createRoute({
    method: "get",
    path: "/unclaimed-machines",
    operationId: "listUnclaimedMachines",
    summary: "List machines that hosts report and that are not in the hub's rows: orphans and foreign ones, oldest first",
    tags,
    middleware: authorised(hub, { claims: ["LIST_VM"] }),
    request: { query: z.object({ hostId: HostId.optional(), standing: z.enum(standings).optional() }) },
    responses: { 200: json(pageOf(Unclaimed), "All of them."), ...faults() },
  });
  const adopt = createRoute({
    method: "post",
    path: "/machines/{id}/adopt",
    operationId: "adoptMachine",
    summary: "Take an orphan or a foreign machine into the hub's rows, as it is",
    tags,
    middleware: authorised(hub, { claims: ["CREATE_VM"] }),
    request: {
      params: z.object({ id: MachineId }),
      headers: idempotent,
      body: { required: true, ...json(Adoption, "Where, and under which name.") },
    },
    responses: {
      202: json(Operation, "Accepted."),
      ...faults("machine_not_found", "machine_exists", "machine_foreign", "machine_state", "host_unnamed", "idempotency_conflict"),
    },
  });

  return routesOf()
    .openapi(list, async (c) => {
      const { hostId, standing } = c.req.valid("query");
      const found = await unclaimedMachines(hub.db, hub.settings.gateway.hubId, { hostId, project: actorOf(c).project });
      const items = found.filter((one) => one.standing !== "ours" && (standing === undefined || one.standing === standing)).map(unclaimed);
      return c.json({ items, nextCursor: null }, 200);
    })
    .openapi(adopt, async (c) => {
      const wanted = c.req.valid("json");
      return c.json(unwrap(await hub.operations.adopt(c.req.valid("param").id, wanted, askedBy(c, wanted))), 202);
    });
}
