/**
 * Those who follow events at this process.
 *
 * The one idea: each stands at a number and is told what comes after it, in order, as fast as it reads. Nothing is kept for one that reads slowly: the rows
 * keep it, and who stays too far behind is told which numbers were passed over.
 */
import type { Actor } from "../../domain/access/schema.ts";
import { maySeeEvent, type EventFacts } from "../../domain/events/rules.ts";
import type { Event } from "../../domain/events/schema.ts";
import { wantsEvent } from "../../domain/webhooks/rules.ts";
import type { Standing } from "../http.ts";
import { framed, maySeeMessage, messageTo, type Message, type WireEventType } from "./wire.ts";

/** One event with what it takes to tell it: read once, however many are told. */
export interface Seen {
  readonly event: Event;
  readonly facts: EventFacts;
  /** In the words of the wire; none where it has no words for it. */
  messages(): Promise<readonly Message[]>;
}

/** What a reader is sent, whatever carries it. */
export interface Frame {
  readonly cursor?: number;
  readonly name: string;
  readonly data: string;
}
export interface Transport {
  /** Whether the reader took enough of what it was sent to be sent more. */
  isReady(): boolean;
  send(frame: Frame): void;
  end(why: string): void;
}

export interface Who {
  readonly actor: Actor;
  readonly standing: Standing;
  /** The number after which it is told. */
  readonly after: number;
}
export interface Listener {
  readonly id: string;
  readonly standing: Standing;
  readonly connectedAt: Date;
  actor: Actor;
  position: number;
  sent: number;
  isReady(): boolean;
  /** Tells it if it wants it and may see it. */
  tell(seen: Seen): Promise<void>;
  /** What it will not be told: all numbers after the one, up to the other. */
  lost(after: number, until: number): void;
  /** What has no number, since only the newest counts. */
  news(message: Message, facts: EventFacts | null): void;
  wants(type: WireEventType): boolean;
  end(why: string): void;
}

/** Who is this far behind gets the newest instead: an hour of a busy hub. */
export const mostBehind = 10_000;

interface Parts extends Who {
  readonly transport: Transport;
}

/** What all listeners begin with. */
const begun = ({ actor, standing, after, transport }: Parts) => ({
  standing,
  connectedAt: new Date(),
  actor,
  position: after,
  sent: 0,
  isReady: transport.isReady,
  end: transport.end,
});

/** A client of the wire: its types, its envelope. `types` may be changed while it listens. */
export function wireListener(parts: Parts, id: string, types: Set<WireEventType>): Listener {
  const { transport } = parts;
  const send = (message: Message, of?: { event: Event; place: number }): void => {
    transport.send({
      ...(of ? { cursor: of.event.number } : {}),
      name: message.event_type,
      data: framed(messageTo(message, listener.actor), of),
    });
    listener.sent += 1;
  };
  const listener: Listener = {
    ...begun(parts),
    id,
    tell: async (seen) => {
      const told = await seen.messages();
      for (const [place, message] of told.entries())
        if (types.has(message.event_type) && maySeeMessage(listener.actor, message, seen.facts))
          send(message, { event: seen.event, place });
    },
    lost: (since, until) => send({ event_type: "global", message: "lost", body: { after: since, until } }),
    news: (message, facts) => {
      if (transport.isReady() && types.has(message.event_type) && maySeeMessage(listener.actor, message, facts)) send(message);
    },
    wants: (type) => types.has(type),
  };
  return listener;
}

/** A client of ours: events as they are. */
export function ownListener(parts: Parts, patterns: readonly string[]): Listener {
  const { transport } = parts;
  const listener: Listener = {
    ...begun(parts),
    id: crypto.randomUUID(),
    tell: async ({ event, facts }) => {
      if (!wantsEvent(patterns, event.name) || !maySeeEvent(listener.actor, facts)) return;
      transport.send({ cursor: event.number, name: event.name, data: JSON.stringify(event) });
      listener.sent += 1;
    },
    lost: (since, until) => transport.send({ cursor: until, name: "lost", data: JSON.stringify({ after: since, until }) }),
    news: () => undefined,
    wants: () => false,
  };
  return listener;
}

export interface Listeners {
  readonly all: ReadonlyMap<string, Listener>;
  add(listener: Listener): void;
  remove(id: string): void;
}

/** `begin` is called whenever there is somebody to tell. */
export function openListeners(begin: () => void): Listeners {
  const all = new Map<string, Listener>();
  return {
    all,
    add: (listener) => {
      all.set(listener.id, listener);
      begin();
    },
    remove: (id) => void all.delete(id),
  };
}
