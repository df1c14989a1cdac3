/**
 * The WebSocket clients of this process, kept in step with their rows.
 *
 * The one idea: the row says which types a client has, so whichever process is asked to change them changes them for all.
 */
import { setTimeout as delay } from "node:timers/promises";
import { renewClients } from "../../db/event-clients.ts";
import type { Hub } from "../ports.ts";
import type { Listener } from "./listeners.ts";
import type { SocketTransport } from "./socket.ts";
import type { WireEventType } from "./wire.ts";

/** Soon enough for whoever left a type by another process. */
const renewEveryMs = 1_000;

interface Client {
  readonly id: string;
  readonly types: Set<WireEventType>;
  readonly transport: SocketTransport;
  readonly listener: Listener;
}
export interface Clients {
  add(client: Client): void;
  remove(id: string): void;
  leave(id: string, types: readonly WireEventType[]): void;
}

export function openClients({ db, closing, log }: Pick<Hub, "db" | "closing" | "log">): Clients {
  const all = new Map<string, Client>();
  let renewing = false;

  async function renew(): Promise<void> {
    const typesNow = await renewClients(
      db,
      [...all.values()].map(({ id, transport, listener }) => ({
        id,
        pingedAt: transport.pingedAt(),
        answeredAt: transport.answeredAt(),
        sent: listener.sent,
        waiting: transport.waiting(),
      })),
    );
    for (const [id, types] of typesNow) keepTypes(id, types);
  }
  const keepTypes = (id: string, now: readonly string[]): void => {
    for (const type of all.get(id)?.types ?? []) if (!now.includes(type)) all.get(id)?.types.delete(type);
  };

  async function renewAll(): Promise<void> {
    while (all.size > 0 && !closing.aborted) {
      await renew().catch((err: unknown) =>
        log.warn({ event: "clients.not_renewed", err }, "Who follows events could not be written down."),
      );
      await delay(renewEveryMs, undefined, { signal: closing }).catch(() => undefined);
    }
    renewing = false;
  }

  return {
    add: (client) => {
      all.set(client.id, client);
      if (renewing) return;
      renewing = true;
      void renewAll();
    },
    remove: (id) => void all.delete(id),
    leave: (id, types) => {
      for (const type of types) all.get(id)?.types.delete(type);
    },
  };
}
