/**
 * `/operations/{id}/retry|skip|abort`: an operator's word on a step that waits.
 *
 * The one idea: 202 means that the workflow has taken the word. With an `Idempotency-Key` the request may be sent again until it is answered.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { unwrap } from "../../domain/errors.ts";
import { OperationId } from "../../domain/ids.ts";
import { decisions, type Decision } from "../../domain/operations/rules.ts";
import { Operation } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, routesOf } from "../route.ts";
import { endable, ending } from "./visible.ts";

const summaries: Record<Decision, string> = {
  retry: "Try a parked step again, or begin the next attempt of a step now",
  skip: "Go on without a parked step, where it may be left out",
  abort: "Give up at a parked step: what the operation did is taken back",
};

export function decisionRoutes(hub: Hub) {
  const routes = routesOf();
  for (const word of decisions) routes.route("/", decisionRoute(hub, word));
  return routes;
}

function decisionRoute(hub: Hub, word: Decision) {
  const route = createRoute({
    method: "post",
    path: `/operations/{id}/${word}`,
    operationId: `${word}Operation`,
    summary: summaries[word],
    tags: ["operations"],
    middleware: authorised(hub, ending),
    request: { params: z.object({ id: OperationId }), headers: idempotent },
    responses: {
      202: json(Operation, "The workflow has taken the word."),
      ...faults("operation_not_found", "operation_settled", "operation_not_parked", "step_not_skippable", "hub_unavailable"),
    },
  });

  return routesOf().openapi(route, async (c) => {
    const { id } = await endable(hub, c.req.valid("param").id, actorOf(c));
    return c.json(unwrap(await hub.operations.decide(id, word, askedBy(c))), 202);
  });
}
