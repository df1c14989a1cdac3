/**
 * `/events`: what happened, as a list or as it happens.
 *
 * The one idea: the list and the stream give the same events under the same numbers, so a reader may change from one to the other at any of them.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { factsOfEvents } from "../../db/event-facts.ts";
import { goOnAfter, lastEventNumber, listEvents } from "../../db/events.ts";
import type { Actor } from "../../domain/access/schema.ts";
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

const From = z.coerce
  .number()
  .int()
  .min(-1_000_000)
  .default(0)
  .meta({ description: "The first page begins after this number; a negative one counts from the newest. Without it, with the oldest." });
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
    request: { query: z.object({ types, after: From, ...pageQuery }) },
    responses: {
      200: json(EventPage, "Those that the caller may see."),
      ...faults(),
    },
  });
  return routesOf().openapi(list, async (c) => {
    const { cursor, after, limit, types: wanted } = c.req.valid("query");
    const patterns = parsed(EventPatterns, wanted.split(","));
    const begin = cursor === undefined ? await numberOf(hub, after) : await placeOf(hub, cursor);
    const { items, last, isEnd } = await chosen(hub, { actor: actorOf(c), patterns, after: await goOnAfter(hub.db, begin), limit });
    return c.json({ items, nextCursor: isEnd ? null : String(last), last }, 200);
  });
}

/** A negative number counts from the newest. */
const numberOf = async ({ db }: Pick<Hub, "db">, after: number): Promise<number> =>
  after >= 0 ? after : Math.max(0, (await lastEventNumber(db)) + after);

interface Choice {
  readonly actor: Actor;
  readonly patterns: readonly string[];
  readonly after: number;
  readonly limit: number;
}

/** Reads on while few of what it reads are wanted, up to a bound. */
async function chosen({ db }: Pick<Hub, "db">, { actor, patterns, after, limit }: Choice) {
  const items: Event[] = [];
  let last = after;
  for (let read = 0; read < mostRead; read += batch) {
    const events = await listEvents(db, { after: last, limit: batch, project: actor.project });
    const facts = await factsOfEvents(db, events);
    for (const event of events) {
      const about = facts.get(event.number);
      if (about && wantsEvent(patterns, event.name) && maySeeEvent(actor, about)) items.push(event);
      last = event.number;
      if (items.length === limit) return { items, last, isEnd: false };
    }
    if (events.length < batch) return { items, last, isEnd: true };
  }
  return { items, last, isEnd: false };
}
const batch = 500;
/** Milliseconds of work for one answer; the next page goes on where it ended. */
const mostRead = 5_000;

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
    return eventStream(hub, c, listeners, (transport) => {
      // Whoever is cut off before the first event comes back to here.
      transport.send({ cursor: after, name: "begin", data: JSON.stringify({ after }) });
      return ownListener({ actor: actorOf(c), standing, after, transport }, patterns);
    });
  });
}
