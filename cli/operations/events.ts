/**
 * Listens to an operation's events, for as long as it takes.
 *
 * The one idea: an event only says that there is news; whoever listens reads the operation itself, so a lost or repeated event does no harm.
 */
import { createParser } from "eventsource-parser";
import { setTimeout as after } from "node:timers/promises";
import { pathOf, type Client } from "../client.ts";

export interface Listening {
  /** Whether the stream is open now. */
  readonly isOpen: () => boolean;
}

/** Long enough not to press a hub that restarts, short enough that nobody notices. */
const reconnectMs = 2_000;

export function listen(client: Client, operationId: string, onNews: () => void, signal: AbortSignal): Listening {
  let open = false;
  let lastId: string | undefined;
  const parser = createParser({
    onEvent: ({ id }) => {
      lastId = id ?? lastId;
      onNews();
    },
  });

  async function once(): Promise<void> {
    const headers = { accept: "text/event-stream", ...(lastId === undefined ? {} : { "last-event-id": lastId }) };
    const response = await client.raw(`${pathOf("operations", operationId)}/events`, headers, signal);
    open = true;
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) parser.feed(decoder.decode(chunk, { stream: true }));
  }

  async function forever(): Promise<void> {
    while (!signal.aborted) {
      await once().catch(() => undefined); // Whoever follows waits at the hub meanwhile and tells what is wrong there.
      open = false;
      parser.reset({ consume: false });
      onNews();
      await after(reconnectMs, undefined, { signal }).catch(() => undefined);
    }
  }
  void forever();
  return { isOpen: () => open };
}
