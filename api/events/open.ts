/** Whoever follows events at this process, and the one reading that tells them; it runs while there is somebody to tell. */
import type { Hub } from "../ports.ts";
import { openClients, type Clients } from "./clients.ts";
import { follow } from "./follow.ts";
import { openListeners, type Listeners } from "./listeners.ts";

export interface Events {
  readonly listeners: Listeners;
  readonly clients: Clients;
}

export function openEvents(hub: Hub): Events {
  let following: Promise<void> | null = null;
  const begin = (): void => {
    following ??= follow(hub, listeners).finally(() => {
      following = null;
      // Somebody came while the last one was leaving.
      if (listeners.all.size > 0 && !hub.closing.aborted) begin();
    });
  };
  const listeners = openListeners(begin);
  return { listeners, clients: openClients(hub) };
}
