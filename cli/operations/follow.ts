/**
 * Follows an operation to its end, through restarts of the hub.
 *
 * The one idea: the hub's stream tells every state. Where it breaks, one question that waits at the hub bridges the gap, and the next stream
 * begins after the last event that was seen.
 */
import { setTimeout as after } from "node:timers/promises";
import { FaultError, kindOf } from "../../domain/errors.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { pathOf, type Client } from "../client.ts";
import { streamed, type Place } from "../streamed.ts";
import { OperationDetail } from "../wire.ts";

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
    for await (const { event, data } of streamed(client, `${path}/events`, { place, signal })) {
      const detail = event === "state" ? OperationDetail.safeParse(data).data : undefined;
      if (!detail) continue;
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
