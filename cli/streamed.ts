/**
 * One stream of server-sent events from the hub, as far as it comes.
 *
 * The one idea: a stream may end at any moment for any reason, and none of them is told here: whoever reads remembers the last id and asks again.
 */
import { EventSourceParserStream } from "eventsource-parser/stream";
import type { Client } from "./client.ts";

/** The hub sends a sign of life every 15 s; three missed ones mean that the stream is dead, or that a proxy keeps it back. */
const silentMs = 45_000;

/** Where the last stream broke off. */
export interface Place {
  lastEventId: string | undefined;
}
export interface Streamed {
  readonly event: string | undefined;
  /** Null where it is no JSON. */
  readonly data: unknown;
}

/** `refused` is told of an answer that is no stream, or of none. */
export async function* streamed(
  client: Client,
  path: string,
  { place, signal, refused }: { place: Place; signal: AbortSignal; refused?: (error: unknown) => void },
): AsyncGenerator<Streamed> {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), silentMs);
  const headers = { accept: "text/event-stream", ...(place.lastEventId === undefined ? {} : { "last-event-id": place.lastEventId }) };
  try {
    const response = await client.raw(path, headers, AbortSignal.any([signal, silence.signal]));
    if (!response.body) return;
    const alive = new TransformStream<string, string>({
      transform: (chunk, controller) => {
        timer.refresh();
        controller.enqueue(chunk);
      },
    });
    const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(alive).pipeThrough(new EventSourceParserStream());
    for await (const { id, event, data } of events) {
      place.lastEventId = id ?? place.lastEventId;
      yield { event, data: parsed(data) };
    }
  } catch (error) {
    refused?.(error);
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
