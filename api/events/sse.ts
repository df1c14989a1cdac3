/**
 * Server-sent events as what carries events to a reader.
 *
 * The one idea: the id of each is the number of its event, so a browser that was cut off says by itself, in Last-Event-ID, where it goes on.
 */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { ApiEnv } from "../http.ts";
import type { Hub } from "../ports.ts";
import type { Listener, Listeners, Transport } from "./listeners.ts";

/** On the way to one reader at most; until it takes them nothing more is read for it. */
const onTheWay = 256;
/** Shorter than the idle limit of common proxies, which is 60 s. */
const heartbeatMs = 15_000;
/** Four signs of life that nobody took. */
const stuckMs = 60_000;

export function eventStream(
  hub: Pick<Hub, "closing">,
  c: Context<ApiEnv>,
  listeners: Listeners,
  listen: (transport: Transport) => Listener,
): Response {
  c.header("X-Accel-Buffering", "no");
  return streamSSE(c, async (stream) => {
    const gone = new AbortController();
    let [waiting, takenAt] = [0, Date.now()];
    const sending = (write: Promise<unknown>): void => {
      waiting += 1;
      write
        .then(() => (takenAt = Date.now()))
        .catch(() => gone.abort())
        .finally(() => (waiting -= 1));
    };
    const listener = listen({
      isReady: () => waiting < onTheWay,
      send: ({ cursor, name, data }) =>
        sending(stream.writeSSE({ ...(cursor === undefined ? {} : { id: String(cursor) }), event: name, data })),
      end: () => gone.abort(),
    });
    stream.onAbort(() => gone.abort());
    const alive = setInterval(() => {
      if (waiting > 0 && Date.now() - takenAt > stuckMs) gone.abort();
      else if (waiting === 0) sending(stream.write(": alive\n\n"));
    }, heartbeatMs);
    listeners.add(listener);
    const ends = AbortSignal.any([gone.signal, hub.closing]);
    if (!ends.aborted) await new Promise<void>((resolve) => ends.addEventListener("abort", () => resolve(), { once: true }));
    clearInterval(alive);
    listeners.remove(listener.id);
  });
}
