/**
 * Follows an operation to its end, through restarts of the hub.
 *
 * The one idea: the hub's stream tells every state. Where it breaks, one question that waits at the hub bridges the gap, and the next stream
 * begins after the last event that was seen.
 */
import { setTimeout as after } from "node:timers/promises";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { FaultError, kindOf } from "../../domain/errors.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { pathOf, type Client } from "../client.ts";
import { OperationDetail } from "../wire.ts";

/** The hub sends a sign of life every 15 s; three missed ones mean that the stream is dead, or that a proxy keeps it back. */
const silentMs = 45_000;
/** A bridge is short, because a stream is better. */
const bridgeSeconds = 5;
/** The longest that a hub is waited for that does not answer: a restart may bring a migration. */
const patienceMs = 120_000;
const pauseMs = 1_000;

/** Every state as it changes; the last one is settled. Ends early, without a settled state, at the signal. */
export async function* follow(client: Client, operationId: string, signal: AbortSignal): AsyncGenerator<OperationDetail> {
  const path = pathOf("operations", operationId);
  const place: Place = { lastEventId: undefined };
  while (!signal.aborted) {
    for await (const detail of streamed(client, `${path}/events`, place, signal)) {
      yield detail;
      if (isSettled(detail.state)) return;
    }
    if (signal.aborted) return;
    const query = { timeout: bridgeSeconds };
    const detail = await patiently(() => client.get(`${path}/wait`, OperationDetail, { query, signal }), signal);
    if (detail === null) return;
    yield detail;
    if (isSettled(detail.state)) return;
  }
}

/** Where the last stream broke off. */
interface Place {
  lastEventId: string | undefined;
}

/** Ends quietly when the stream does, for whatever reason: the bridge tells what is wrong. */
async function* streamed(client: Client, path: string, place: Place, signal: AbortSignal): AsyncGenerator<OperationDetail> {
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
      if (event !== "state") continue;
      const detail = OperationDetail.safeParse(parsed(data)).data;
      if (detail) yield detail;
    }
  } catch {
    return;
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/** The operation goes on while the hub is away, so a hub that does not answer is no reason to give up at once. Null at the signal. */
async function patiently<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (signal.aborted) return null;
      const passing = error instanceof FaultError && kindOf(error.fault.code).status >= 500;
      if (!passing || performance.now() > deadline) throw error;
      await after(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
