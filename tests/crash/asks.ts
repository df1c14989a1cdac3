/**
 * Requests as a careful client makes them: with a key of their own, again and again until they are answered.
 *
 * The one idea: whatever dies meanwhile, a request that is repeated under its key is one operation; the first answer that comes tells which.
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { Fleet } from "./fleet.ts";

export const crashVerbs = ["push", "pull", "provision", "retire"] as const;
export type CrashVerb = (typeof crashVerbs)[number];

export interface Wanted {
  readonly verb: CrashVerb;
  readonly method: "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** The image that is pushed, pulled or made a machine of. */
  readonly catalogId?: string;
  readonly hostId?: string;
  readonly machineId?: string;
  readonly name?: string;
}
export interface Ask extends Wanted {
  readonly key: string;
  /** Sent and not answered yet. */
  open: boolean;
  /** How often it was sent before it was answered. */
  tries: number;
  operationId: string | null;
  madeMachineId: string | null;
  /** Why it was refused: it should never be. */
  refusal: string | null;
}

/** A process of the hub is back within some ten seconds on a loaded computer; a client that asks for minutes has found a fault. */
const patienceMs = 120_000;
/** Short, so that a request that is lost is noticed; an answer takes milliseconds. */
const answerMs = 20_000;
const pauseMs = 150;

const Answer = z.union([
  z.object({ operation: z.object({ id: z.string() }), machine: z.object({ id: z.string() }) }),
  z.object({ id: z.string() }),
]);

export const newAsk = (wanted: Wanted): Ask => ({
  ...wanted,
  key: crypto.randomUUID(),
  open: false,
  tries: 0,
  operationId: null,
  madeMachineId: null,
  refusal: null,
});

export async function makeAsk(fleet: Fleet, ask: Ask): Promise<void> {
  const end = Date.now() + patienceMs;
  ask.open = true;
  try {
    while (Date.now() < end) {
      ask.tries += 1;
      const answer = await sent(fleet, ask).catch(() => null);
      if (answer?.status === 202) {
        const told = Answer.parse(await answer.json());
        ask.operationId = "operation" in told ? told.operation.id : told.id;
        ask.madeMachineId = "machine" in told ? told.machine.id : null;
        return;
      }
      const text = answer === null ? "no answer" : await answer.text().catch(() => "an answer that was cut off");
      if (answer !== null && answer.status < 500 && answer.status !== 401) throw new Error(`${answer.status} ${text}`);
      ask.refusal = text;
      await delay(pauseMs);
    }
    throw new Error(`not answered within ${patienceMs / 1000} s; the last try: ${ask.refusal}`);
  } catch (error) {
    ask.refusal = `${ask.verb} ${ask.path} was refused: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    ask.open = false;
    if (ask.operationId !== null) ask.refusal = null;
  }
}

async function sent({ stack: { client } }: Fleet, { method, path, body, key }: Wanted & { key: string }): Promise<Response> {
  return fetch(`${client.url}/api/v2${path}`, {
    method,
    headers: { "content-type": "application/json", "idempotency-key": key, ...(await client.session.headers()) },
    signal: AbortSignal.timeout(answerMs),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

/** Sends an answered request once more, as a client that lost the answer; the operation that it is told. */
export async function repeatedAs(fleet: Fleet, ask: Ask): Promise<string | null> {
  const again: Ask = { ...ask, operationId: null };
  await makeAsk(fleet, again);
  return again.operationId;
}
