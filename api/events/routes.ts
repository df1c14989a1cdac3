/**
 * `/events`: what happened, as a list or as it happens.
 *
 * The one idea: the list and the stream give the same events under the same numbers, so a reader may change from one to the other at any of them.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { factsOfEvents } from "../../db/event-facts.ts";
import { goOnAfter, listEvents } from "../../db/events.ts";
import { maySeeEvent } from "../../domain/events/rules.ts";
import { Event } from "../../domain/events/schema.ts";
import { EventPatterns } from "../../domain/webhooks/schema.ts";
import { wantsEvent } from "../../domain/webhooks/rules.ts";
import { faults, json, parsed } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { pageOf, pageQuery, routesOf } from "../route.ts";
import { ownListener, type Listeners } from "./listeners.ts";
import { placeOf } from "./place.ts";
import { eventStream } from "./sse.ts";

const tags = ["events"];
const types = z.string().max(2000).default("*").meta({ description: "Such as `machine.*,operation.failed`; without it, all." });

const EventPage = pageOf(Event)
  .extend({ last: z.int().meta({ description: "The number that was looked at last: whoever asks again later begins there." }) })
  .meta({ id: "EventPage" });

const needs = { claims: ["READ_ONLY"] } as const;

export const eventRoutes = (hub: Hub, listeners: Listeners) =>
  routesOf().route("/", listRoutes(hub)).route("/", followRoutes(hub, listeners));

function listRoutes(hub: Hub) {
  const list = createRoute({
    method: "get",
    path: "/events",
    operationId: "listEvents",
    summary: "List what happened after a number, oldest first",
    tags,
    middleware: authorised(hub, needs),
    request: { query: z.object({ types, ...pageQuery }) },
    responses: {
      200: json(EventPage, "Those that the caller may see."),
      ...faults(),
    },
  });
  return routesOf().openapi(list, async (c) => {
    const { cursor, limit, types: wanted } = c.req.valid("query");
    const patterns = parsed(EventPatterns, wanted.split(","));
    const after = await goOnAfter(hub.db, cursor === undefined ? 0 : await placeOf(hub, cursor));
    const events = await listEvents(hub.db, { after, limit, project: actorOf(c).project });
    const facts = await factsOfEvents(hub.db, events);
    const items = events.filter((event) => {
      const about = facts.get(event.number);
      return about !== undefined && wantsEvent(patterns, event.name) && maySeeEvent(actorOf(c), about);
    });
    const last = events.at(-1)?.number ?? after;
    return c.json({ items, nextCursor: events.length === limit ? String(last) : null, last }, 200);
  });
}

function followRoutes(hub: Hub, listeners: Listeners) {
  const stream = createRoute({
    method: "get",
    path: "/events/stream",
    operationId: "followEvents",
    summary: "Follow what happens (server-sent events)",
    tags,
    middleware: authorised(hub, needs),
    request: {
      query: z.object({ types, cursor: z.string().max(20).optional() }),
      headers: z.object({ "last-event-id": z.string().max(20).optional() }),
    },
    responses: {
      200: {
        description: "Events under their numbers, those after `cursor` or Last-Event-ID first. `lost` names numbers that are not told.",
        content: { "text/event-stream": { schema: z.string() } },
      },
      ...faults(),
    },
  });

  return routesOf().openapi(stream, async (c) => {
    const patterns = parsed(EventPatterns, c.req.valid("query").types.split(","));
    const after = await placeOf(hub, c.req.valid("header")["last-event-id"] ?? c.req.valid("query").cursor);
    const standing = c.var.standing ?? { endsAt: null, login: null, ruleId: null };
    return eventStream(hub, c, listeners, (transport) => ownListener({ actor: actorOf(c), standing, after, transport }, patterns));
  });
}
