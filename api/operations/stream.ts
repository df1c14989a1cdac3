/**
 * An operation's events as they happen.
 *
 * The one idea: events have numbers, so a client that was cut off names the last one it saw and misses nothing. Progress has none: only the newest matters.
 */
import type { Context } from "hono";
import { streamSSE, type SSEStreamingApi } from "hono/streaming";
import { findOperation } from "../../db/operations.ts";
import { goOnAfter, listEvents } from "../../db/events.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import type { ApiEnv } from "../http.ts";
import { checkEveryMs } from "../middleware/standing.ts";
import type { Hub } from "../ports.ts";
import { detailOf } from "./detail.ts";

/** Shorter than the idle limit of common proxies, which is 60 s. */
const heartbeatMs = 15_000;
/** The relay numbers an ending's event within milliseconds; whoever never sees it has the state anyway. */
const lastEventsMs = 2_000;
const batch = 500;

export function operationEvents(hub: Hub, c: Context<ApiEnv>, { operationId, after, check }: Asking): Response {
  return streamSSE(c, async (stream) => {
    const gone = new AbortController();
    stream.onAbort(() => gone.abort());
    const ends = AbortSignal.any([gone.signal, hub.closing]);
    await followed(hub, stream, { operationId, after, ends, check });
  });
}

interface Asking {
  readonly operationId: string;
  readonly after: number;
  /** Throws when the caller may not see the operation any more. */
  readonly check: () => Promise<unknown>;
}
interface Following extends Asking {
  readonly ends: AbortSignal;
}

async function followed(hub: Hub, stream: SSEStreamingApi, { operationId, after, ends, check }: Following): Promise<void> {
  let last = after;
  let shown = "";
  let endedAt: number | null = null;
  let wroteAt = Date.now();
  let checkedAt = Date.now();
  while (!ends.aborted) {
    const found = await findOperation(hub.db, operationId);
    if (!found.ok) return;
    last = await goOnAfter(hub.db, last);
    const events = await listEvents(hub.db, { after: last, limit: batch, operationId });
    for (const event of events) {
      await stream.writeSSE({ id: String(event.number), event: event.name, data: JSON.stringify(event) });
      last = event.number;
    }
    const state = JSON.stringify(await detailOf(hub, found.value));
    if (state !== shown) await stream.writeSSE({ event: "state", data: state });
    if (events.length > 0 || state !== shown) wroteAt = Date.now();
    shown = state;
    const now = Date.now();
    if (isSettled(found.value.state)) endedAt ??= now;
    const told = events.some(({ name }) => name === `operation.${found.value.state}`);
    if (endedAt !== null && (told || now - endedAt > lastEventsMs)) return;
    if (now - wroteAt > heartbeatMs) {
      await stream.write(": alive\n\n");
      wroteAt = now;
    }
    if (now - checkedAt > checkEveryMs) {
      await check();
      checkedAt = now;
    }
    await hub.notifications.next(ends);
  }
}
