/**
 * Follows an operation to its end, through restarts of the hub.
 *
 * The one idea: what counts is the operation as it reads now. Events say when to read; without them the hub is asked to wait for us.
 */
import { setTimeout as after } from "node:timers/promises";
import { FaultError } from "../../domain/errors.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { isUnreachable, pathOf, type Client } from "../client.ts";
import { OperationDetail } from "../wire.ts";
import { listen } from "./events.ts";

/** Bytes moved are no events: so often a bar is worth a look. */
const lookEveryMs = 1_000;
/** The longest that a restarting hub is waited for: a migration may take a while. */
const patienceMs = 120_000;

/** Every state as it changes; the last one is settled. Ends early, without a settled state, at the signal. */
export async function* follow(client: Client, operationId: string, signal: AbortSignal): AsyncGenerator<OperationDetail> {
  const path = pathOf("operations", operationId);
  const bell = doorbell();
  const hangUp = new AbortController();
  const ended = AbortSignal.any([signal, hangUp.signal]);
  let detail = await client.get(path, OperationDetail, { signal });
  if (!isSettled(detail.state)) yield detail;
  const events = isSettled(detail.state) ? null : listen(client, operationId, bell.ring, ended);
  try {
    while (events !== null && !isSettled(detail.state)) {
      const waits = !events.isOpen();
      if (!waits) await bell.heard(lookEveryMs, signal);
      detail = await patiently(
        () => client.get(waits ? `${path}/wait` : path, OperationDetail, { signal, query: waits ? { timeout: 1 } : {} }),
        signal,
      );
      yield detail;
    }
    if (events === null) yield detail;
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    hangUp.abort();
  }
}

/** The operation goes on while the hub is away, so a hub that does not answer is no reason to give up at once. */
async function patiently<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const passing = isUnreachable(error) || (error instanceof FaultError && error.fault.details?.["status"] === 503);
      if (!passing || signal.aborted || performance.now() > deadline) throw error;
      await after(lookEveryMs, undefined, { signal });
    }
  }
}

/** A ring between two visits is heard at the next. */
function doorbell() {
  let rung = false;
  let answer: (() => void) | null = null;
  return {
    ring: () => {
      rung = true;
      answer?.();
    },
    heard: async (limitMs: number, signal: AbortSignal) => {
      if (!rung) {
        const { promise, resolve } = Promise.withResolvers<void>();
        answer = resolve;
        const timer = setTimeout(resolve, limitMs);
        signal.addEventListener("abort", () => resolve(), { once: true });
        await promise;
        clearTimeout(timer);
      }
      rung = false;
      answer = null;
    },
  };
}
