/**
 * The wire's event hub: subscribe by WebSocket or as server-sent events, leave a type, and see who listens.
 *
 * The one idea: what a client is told is decided where it is told; these routes only let it in and out. Who listens stands in rows, so each of several API
 * processes answers for all.
 */
import { upgradeWebSocket } from "@hono/node-server";
import { WebSocket } from "ws";
import { z } from "zod";
import { dropClient, insertClient, leaveTypes, listClients, type EventClient } from "../../db/event-clients.ts";
import type { Hub } from "../ports.ts";
import { asksForWebSocket } from "../web-socket.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { answerTo } from "./answers.ts";
import type { Clients } from "./clients.ts";
import { wireListener, type Listeners, type Who } from "./listeners.ts";
import { placeOf } from "./place.ts";
import { socketTransport } from "./socket.ts";
import { eventStream } from "./sse.ts";
import { framed, WireEventType, type Message } from "./wire.ts";

const EventClientInfo = z
  .object({
    id: z.string(),
    user_id: z.string(),
    username: z.string(),
    connected_at: z.string(),
    last_ping_at: z.string(),
    last_pong_at: z.string(),
    event_subscriptions: z.array(z.string()),
    is_alive: z.boolean(),
    queue_depth: z.int(),
  })
  .meta({ id: "EventClientInfo" });
const EventEmitterStats = z
  .object({
    total_clients: z.int(),
    total_subscriptions: z.int(),
    type_stats: z.record(z.string(), z.int()),
    clients: z.array(EventClientInfo).optional(),
    messages_sent: z.int(),
    start_time: z.string(),
    uptime: z.string(),
  })
  .meta({ id: "EventEmitterStats" });
const UnsubscribeRequest = z
  .object({ client_id: z.string().default(""), user_id: z.string().default(""), event_types: z.array(z.string()).default([]) })
  .meta({ id: "UnsubscribeRequest" });

const tag = "events";
const needs = { claims: ["READ_ONLY"] } as const;

export function eventWireRoutes(hub: Hub, mount: Mount, listeners: Listeners, clients: Clients): void {
  mount("get", "/ws/subscribe", "Follow events by WebSocket, or as server-sent events", { tag, needs, status: 101 }, async (call) => {
    const { c, query } = call;
    const types = typesOf(query("event_types") ?? "");
    const who = await whoOf(hub, call);
    if (!asksForWebSocket(c)) {
      if (!c.req.header("Accept")?.includes("text/event-stream"))
        throw refusal(400, "Failed to upgrade connection: the client is not using the websocket protocol");
      return eventStream(hub, c, listeners, (transport) => {
        const id = crypto.randomUUID();
        const hello = greeting(id, types, who);
        transport.send({ cursor: who.after, name: hello.event_type, data: framed(hello) });
        return wireListener({ ...who, transport }, id, types);
      });
    }
    const id = crypto.randomUUID();
    await insertClient(hub.db, { id, userId: who.actor.userId, username: who.actor.username, types: [...types] });
    const upgraded = await upgradeWebSocket(() => subscription(hub, { id, who, types, listeners, clients }))(c, async () => {});
    return upgraded ?? c.body(null, 400);
  });
  mount("post", "/ws/unsubscribe", "Leave types of events", { tag, needs, status: 200, body: UnsubscribeRequest }, (call) =>
    unsubscribed(hub, clients, call),
  );
  listRoutes(hub, mount);
}

const known = (words: readonly string[]): WireEventType[] => words.flatMap((word) => WireEventType.safeParse(word.trim()).data ?? []);
const typesOf = (list: string): Set<WireEventType> => new Set([...known(list.split(",")), "global"]);

async function whoOf(hub: Hub, { c, actor, query }: Pick<Call<unknown>, "c" | "actor" | "query">): Promise<Who> {
  const after = await placeOf(hub, c.req.header("Last-Event-ID") ?? query("cursor"));
  return { actor, after, standing: c.var.standing ?? { endsAt: null, login: null, ruleId: null } };
}

/** Whoever is cut off before the first event comes back to this cursor. */
const greeting = (id: string, types: ReadonlySet<WireEventType>, { after }: Who): Message => ({
  event_type: "global",
  message: "WebSocket connection established subscribed to global by default",
  body: { client_id: id, subscriptions: [...types], cursor: String(after) },
});

/** Who listens is told to super users; others see themselves. */
function listRoutes(hub: Hub, mount: Mount): void {
  const visible = ({ isSuperUser, userId }: Who["actor"]) => listClients(hub.db, isSuperUser ? undefined : userId);
  mount("get", "/ws/clients", "List who follows events", { tag, needs, status: 200, reply: z.array(EventClientInfo) }, async ({ actor }) =>
    (await visible(actor)).map(shown),
  );
  mount("get", "/ws/stats", "Count who follows events", { tag, needs, status: 200, reply: EventEmitterStats }, async ({ actor }) => {
    const everybody = await listClients(hub.db);
    const all = everybody.flatMap(({ types }) => types);
    const byType = Map.groupBy(all, (type) => type);
    return {
      total_clients: everybody.length,
      total_subscriptions: all.length,
      type_stats: Object.fromEntries([...byType].map(([type, of]) => [type, of.length])),
      clients: everybody.filter(({ userId }) => actor.isSuperUser || userId === actor.userId).map(shown),
      messages_sent: everybody.reduce((sum, { sent }) => sum + sent, 0),
      start_time: new Date(startedAtMs).toISOString(),
      uptime: `${Math.floor((Date.now() - startedAtMs) / 1000)}s`,
    };
  });
}
const startedAtMs = performance.timeOrigin;

interface Subscription {
  readonly id: string;
  readonly who: Who;
  readonly types: Set<WireEventType>;
  readonly listeners: Listeners;
  readonly clients: Clients;
}

function subscription(hub: Hub, { id, who, types, listeners, clients }: Subscription) {
  let leave = () => {};
  let answer: (message: Message) => void = () => {};
  return {
    onOpen: (_: unknown, { raw }: { raw?: unknown }) => {
      if (!(raw instanceof WebSocket)) return;
      const transport = socketTransport(raw);
      const listener = wireListener({ ...who, transport }, id, types);
      answer = (message) => transport.send({ name: message.event_type, data: framed(message) });
      leave = () => {
        listeners.remove(id);
        clients.remove(id);
        transport.close();
        void dropClient(hub.db, id).catch(() => undefined);
      };
      answer(greeting(id, types, who));
      clients.add({ id, types, transport, listener });
      listeners.add(listener);
    },
    onMessage: ({ data }: { data: unknown }) => answer(answerTo(id, String(data))),
    onClose: () => leave(),
    onError: () => leave(),
  };
}

async function unsubscribed(hub: Hub, clients: Clients, { actor, body }: Call<z.output<typeof UnsubscribeRequest>>): Promise<null> {
  if (body.event_types.length === 0) throw refusal(400, "event_types is required");
  if (body.event_types.includes("global")) throw refusal(400, "cannot unsubscribe from global event type");
  const leaving = known(body.event_types);
  if (leaving.length === 0) throw refusal(400, "no valid event types provided");
  const isId = z.uuid().safeParse(body.client_id).success;
  if (!isId || !(await leaveTypes(hub.db, body.client_id, actor.isSuperUser ? undefined : actor.userId, leaving)))
    throw refusal(404, "error 404: client not found");
  // At once where it is ours; another process sees the row within a second.
  clients.leave(body.client_id, leaving);
  return null;
}

const shown = ({
  id,
  userId,
  username,
  connectedAt,
  pingedAt,
  answeredAt,
  types,
  waiting,
}: EventClient): z.input<typeof EventClientInfo> => ({
  id,
  user_id: userId,
  username,
  connected_at: connectedAt.toISOString(),
  last_ping_at: pingedAt.toISOString(),
  last_pong_at: answeredAt.toISOString(),
  event_subscriptions: types,
  is_alive: true,
  queue_depth: waiting,
});
