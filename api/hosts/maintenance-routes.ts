/** `/maintenance-windows`: when hosts take no new machines, again and again. Hosts serve every project, so their windows do. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { findHost } from "../../db/hosts.ts";
import { insertWindow, listWindows, removeWindow } from "../../db/maintenance.ts";
import { unwrap } from "../../domain/errors.ts";
import { MaintenanceWindow, NewMaintenanceWindow } from "../../domain/hosts/maintenance.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, pageOf, routesOf } from "../route.ts";
import { audited } from "../told.ts";

const tags = ["hosts"];

export function maintenanceRoutes(hub: Hub) {
  const needs = authorised(hub, { claims: ["UPDATE"], hubWide: true });
  const list = createRoute({
    method: "get",
    path: "/maintenance-windows",
    operationId: "listMaintenanceWindows",
    summary: "List when hosts take no new machines",
    tags,
    middleware: authorised(hub, { claims: ["LIST"] }),
    responses: { 200: json(pageOf(MaintenanceWindow), "By name."), ...faults() },
  });
  const add = createRoute({
    method: "post",
    path: "/maintenance-windows",
    operationId: "addMaintenanceWindow",
    summary: "Close hosts to new machines again and again, by days, a time and a time zone",
    tags,
    middleware: needs,
    request: { body: { required: true, ...json(NewMaintenanceWindow, "Which hosts, and when.") } },
    responses: { 201: json(MaintenanceWindow, "The window."), ...faults("maintenance_window_exists", "host_not_found") },
  });
  const remove = createRoute({
    method: "delete",
    path: "/maintenance-windows/{idOrName}",
    operationId: "removeMaintenanceWindow",
    summary: "Remove a maintenance window; hosts that it keeps closed open within seconds",
    tags,
    middleware: needs,
    request: { params: z.object({ idOrName: z.string().min(1).max(128) }) },
    responses: { 204: { description: "Gone." }, ...faults("maintenance_window_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => c.json({ items: await listWindows(hub.db), nextCursor: null }, 200))
    .openapi(add, async (c) => {
      const wanted = c.req.valid("json");
      for (const id of wanted.hostIds) unwrap(await findHost(hub.db, id));
      const told = { action: "maintenance_window.added", subject: wanted.name };
      return c.json(await audited(hub, askedBy(c), told, (tx) => insertWindow(tx, wanted, actorOf(c).username)), 201);
    })
    .openapi(remove, async (c) => {
      const { idOrName } = c.req.valid("param");
      await audited(hub, askedBy(c), { action: "maintenance_window.removed", subject: idOrName }, (tx) => removeWindow(tx, idOrName));
      return c.body(null, 204);
    });
}
