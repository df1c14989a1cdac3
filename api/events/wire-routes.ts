/**
 * The wire's event hub: subscribe by WebSocket, leave a type, and see who listens.
 *
 * The one idea: what a client is told is decided where it is told; these routes only let it in and out. The lists speak of this process.
 */
import { upgradeWebSocket } from "@hono/node-server";
import { WebSocket } from "ws";
import { z } from "zod";
import type { Actor } from "../../domain/access/schema.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { follow } from "./follow.ts";
import { openSubscribers, type Subscriber, type Subscribers } from "./subscribers.ts";
import { WireEventType, type Message } from "./wire.ts";

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

export function eventWireRoutes(hub: Hub, mount: Mount): void {
  const subscribers = openSubscribers();
  let following: Promise<void> | null = null;
  const begin = () => {
    following ??= follow(hub, subscribers).finally(() => {
      following = null;
      // Somebody came while the last one was leaving.
      if (subscribers.clients.size > 0 && !hub.closing.aborted) begin();
    });
  };
  mount("get", "/ws/subscribe", "Follow events by WebSocket", { tag, needs, status: 101 }, async (call) => {
    if (call.c.req.header("Upgrade")?.toLowerCase() !== "websocket")
      throw refusal(400, "Failed to upgrade connection: the client is not using the websocket protocol");
    const upgraded = await upgradeWebSocket(() => subscription(subscribers, call, begin))(call.c, async () => {});
    return upgraded ?? call.c.body(null, 400);
  });
  mount("post", "/ws/unsubscribe", "Leave types of events", { tag, needs, status: 200, body: UnsubscribeRequest }, (call) =>
    unsubscribed(subscribers, call),
  );
  listRoutes(subscribers, mount);
}

/** Who listens is told to super users; others see themselves. */
function listRoutes(subscribers: Subscribers, mount: Mount): void {
  const visible = (actor: Actor) =>
    [...subscribers.clients.values()].filter((client) => actor.isSuperUser || client.actor.userId === actor.userId).map(shown);
  mount("get", "/ws/clients", "List who follows events", { tag, needs, status: 200, reply: z.array(EventClientInfo) }, async ({ actor }) =>
    visible(actor),
  );
  mount("get", "/ws/stats", "Count who follows events", { tag, needs, status: 200, reply: EventEmitterStats }, async ({ actor }) => {
    const all = [...subscribers.clients.values()].flatMap(({ types }) => [...types]);
    const byType = Map.groupBy(all, (type) => type);
    return {
      total_clients: subscribers.clients.size,
      total_subscriptions: all.length,
      type_stats: Object.fromEntries([...byType].map(([type, of]) => [type, of.length])),
      clients: visible(actor),
      messages_sent: 0,
      start_time: subscribers.startedAt.toISOString(),
      uptime: `${Math.floor((Date.now() - subscribers.startedAt.getTime()) / 1000)}s`,
    };
  });
}

function subscription(subscribers: Subscribers, { actor, query }: Pick<Call<unknown>, "actor" | "query">, begin: () => void) {
  let client: Subscriber | null = null;
  const wanted = (query("event_types") ?? "").split(",");
  return {
    onOpen: (_: unknown, { raw }: { raw?: unknown }) => {
      if (!(raw instanceof WebSocket)) return;
      const opened = subscribers.add(raw, actor, wanted);
      client = opened;
      raw.on("pong", () => {
        opened.answeredAt = new Date();
      });
      const body = { client_id: opened.id, subscriptions: [...opened.types] };
      subscribers.send(opened, {
        event_type: "global",
        message: "WebSocket connection established subscribed to global by default",
        body,
      });
      begin();
    },
    onMessage: ({ data }: { data: unknown }) => {
      if (client) subscribers.send(client, answerTo(client, String(data)));
    },
    onClose: () => {
      if (client) subscribers.remove(client.id);
    },
    onError: () => {
      if (client) subscribers.remove(client.id);
    },
  };
}

const Said = z.object({ id: z.string().optional(), event_type: WireEventType, message: z.string() });

/** A client may ask whether we live and who it is. */
function answerTo(client: Subscriber, text: string): Message {
  const wrong = (error: string): Message => ({ event_type: "global", message: "error", body: { error }, client_id: client.id });
  const said = Said.safeParse(jsonIn(text));
  if (!said.success) return wrong("the message is not understood");
  const { id, event_type, message } = said.data;
  const about = { event_type, client_id: client.id, ...(id === undefined ? {} : { ref_id: id }) };
  if (event_type === "health" && message === "ping") return { ...about, message: "pong" };
  if (event_type === "system" && message === "client-id") return { ...about, message, body: { "client-id": client.id } };
  return wrong("the message is not understood");
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function unsubscribed(subscribers: Subscribers, { actor, body }: Call<z.output<typeof UnsubscribeRequest>>): Promise<null> {
  if (body.event_types.length === 0) throw refusal(400, "event_types is required");
  if (body.event_types.includes("global")) throw refusal(400, "cannot unsubscribe from global event type");
  const known = body.event_types.flatMap((word) => WireEventType.safeParse(word).data ?? []);
  if (known.length === 0) throw refusal(400, "no valid event types provided");
  const client = subscribers.clients.get(body.client_id);
  if (!client || (client.actor.userId !== actor.userId && !actor.isSuperUser)) throw refusal(404, "error 404: client not found");
  for (const type of known) client.types.delete(type);
  return null;
}

const shown = ({ id, actor, connectedAt, pingedAt, answeredAt, types, socket }: Subscriber): z.input<typeof EventClientInfo> => ({
  id,
  user_id: actor.userId,
  username: actor.username,
  connected_at: connectedAt.toISOString(),
  last_ping_at: pingedAt.toISOString(),
  last_pong_at: answeredAt.toISOString(),
  event_subscriptions: [...types],
  is_alive: true,
  queue_depth: socket.bufferedAmount > 0 ? 1 : 0,
});
