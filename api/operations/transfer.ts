/**
 * `/operations/{id}/transfer`: the right of a caller's own computer to send the bundle of its push, and to see how that push ends.
 *
 * The one idea: whoever asked for a push gets a right that is tied to it, because a login ends after minutes, an API key is no token, and a first push
 * takes hours.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { findOperation, readOperation } from "../../db/operations.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { OperationId } from "../../domain/ids.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { TransferToken } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { routesOf } from "../route.ts";
import { detailOf, OperationDetail } from "./detail.ts";

const tags = ["operations"];
const params = z.object({ id: OperationId });

export const transferRoutes = (hub: Hub) => routesOf().route("/", grantRoute(hub)).route("/", watchRoute(hub));

function grantRoute(hub: Hub) {
  const grant = createRoute({
    method: "post",
    path: "/operations/{id}/transfer-token",
    operationId: "createTransferToken",
    summary: "Get the right to send the bundle of one's own push from this computer",
    tags,
    middleware: authorised(hub, { claims: ["PUSH_CATALOG_MANIFEST"] }),
    request: { params },
    responses: { 201: json(TransferToken, "The right."), ...faults("operation_not_found", "operation_settled") },
  });

  return routesOf().openapi(grant, async (c) => {
    const { id } = c.req.valid("param");
    const { operation, actorId } = unwrap(await readOperation(hub.db, id));
    const { userId, project } = actorOf(c);
    if (actorId !== userId || operation.project !== project) throw notFound(id);
    if (operation.verb !== "push" || operation.hostId !== null) {
      const message = `The ${operation.verb} operation ${id} does not run on its caller's computer.`;
      throw new FaultError({ code: "invalid_request", message, subject: id });
    }
    if (isSettled(operation.state)) {
      throw new FaultError({ code: "operation_settled", message: `The operation has already ended as ${operation.state}.`, subject: id });
    }
    return c.json(await hub.transfers.issue(id), 201);
  });
}

/** For whoever's login has ended meanwhile. */
function watchRoute(hub: Hub) {
  const watch = createRoute({
    method: "get",
    path: "/operations/{id}/transfer",
    operationId: "getTransfer",
    summary: "Get the operation of a transfer by the transfer's own token",
    tags,
    request: { params },
    responses: { 200: json(OperationDetail, "The operation."), ...faults("operation_not_found") },
  });

  return routesOf().openapi(watch, async (c) => {
    const { id } = c.req.valid("param");
    const token = /^Bearer (\S+)$/i.exec(c.req.header("Authorization") ?? "")?.[1] ?? "";
    const { operationId } = await hub.transfers.verify(token);
    if (operationId !== id) throw notFound(id);
    return c.json(await detailOf(hub, unwrap(await findOperation(hub.db, id))), 200);
  });
}

const notFound = (id: string) => new FaultError({ code: "operation_not_found", message: `There is no operation ${id}.`, subject: id });
