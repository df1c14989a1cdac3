/**
 * The WebSocket clients of this process, and what each is told.
 *
 * The one idea: a client gets what it subscribed to and may see at this moment; its rights are read again each minute, and one that reads too slowly
 * is let go instead of filling memory.
 */
import type { Actor } from "../../domain/access/schema.ts";
import { mayUse } from "../../domain/access/rules.ts";
import { framed, seeing, WireEventType, type Message, type WireEventType as Type } from "./wire.ts";

/** What `ws` gives, as far as it is used here. */
export interface Socket {
  readonly bufferedAmount: number;
  send(text: string): void;
  ping(): void;
  close(code: number, reason?: string): void;
  terminate(): void;
}
export interface Subscriber {
  readonly id: string;
  readonly socket: Socket;
  readonly types: Set<Type>;
  readonly connectedAt: Date;
  actor: Actor;
  pingedAt: Date;
  answeredAt: Date;
}

/** Thousands of messages: who is further behind does not read any more. */
const longestQueueBytes = 8 * 1024 ** 2;
/** Shorter than the idle limit of common proxies, which is 60 s. */
export const pingEveryMs = 30_000;
/** A ping and a half without an answer. */
const silentMs = 45_000;

export function openSubscribers() {
  const clients = new Map<string, Subscriber>();
  const startedAt = new Date();

  function add(socket: Socket, actor: Actor, wanted: readonly string[]): Subscriber {
    const now = new Date();
    const known = wanted.map((word) => WireEventType.safeParse(word.trim())).flatMap((type) => (type.success ? [type.data] : []));
    const types = new Set<Type>([...known, "global"]);
    const client = { id: crypto.randomUUID(), socket, actor, types, connectedAt: now, pingedAt: now, answeredAt: now };
    clients.set(client.id, client);
    return client;
  }

  function send(client: Subscriber, message: Message): void {
    if (client.socket.bufferedAmount > longestQueueBytes) client.socket.terminate();
    else client.socket.send(framed(message));
  }

  /** `ownerId`: whoever it belongs to is told without any claim. */
  function tell(message: Message, { project, ownerId }: { project: string; ownerId?: string }): void {
    for (const client of clients.values()) {
      const { actor, types } = client;
      if (!types.has(message.event_type) || actor.project !== project) continue;
      if (actor.userId === ownerId || mayUse(actor, seeing[message.event_type] ?? { superUser: true }).ok) send(client, message);
    }
  }

  /** Pings everyone; who did not answer the last one is gone. */
  function ping(): void {
    const now = new Date();
    for (const client of clients.values()) {
      if (now.getTime() - client.answeredAt.getTime() > silentMs) client.socket.terminate();
      else {
        client.pingedAt = now;
        client.socket.ping();
      }
    }
  }

  const wants = (type: Type): boolean => clients.values().some(({ types }) => types.has(type));
  return { clients, startedAt, add, send, tell, ping, wants, remove: (id: string) => clients.delete(id) };
}
export type Subscribers = ReturnType<typeof openSubscribers>;
