/**
 * The part of a push that needs the bundle, done by this process while the hub does the rest.
 *
 * The one idea: the hub gives a right that is tied to the operation, so a push outlives the login that asked for it, and an API key can push too.
 */
import { setTimeout as after } from "node:timers/promises";
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { openClient, pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { outcomeWords } from "../operations/words.ts";
import { tellOutcome } from "../operations/await.ts";
import { seeThrough, type Started } from "../operations/start.ts";
import { OperationDetail, TransferToken } from "../wire.ts";

/** The worker here ends when the operation does; if the worker fails, so does the command, and the operation is not left waiting for it. */
export async function pushFromHere(context: Context, client: Client, started: Pick<Started, "operation" | "waiting">): Promise<number> {
  const { id } = started.operation;
  const settled = new AbortController();
  try {
    const { token } = await client.send("POST", pathOf("operations", id, "transfer-token"), TransferToken);
    const working = context.parts.serveCaller({ client, operationId: id, token, signal: settled.signal });
    try {
      return await Promise.race([watch(context, client, started, token), failureOf(working)]);
    } finally {
      settled.abort();
      await working.catch(() => undefined);
    }
  } catch (error) {
    await client.send("POST", pathOf("operations", id, "cancel"), z.unknown()).catch(() => undefined);
    throw error;
  }
}

async function watch(context: Context, client: Client, started: Pick<Started, "operation" | "waiting">, token: string): Promise<number> {
  try {
    return await seeThrough(context, client, { ...started, own: true });
  } catch (error) {
    if (!(error instanceof FaultError) || error.fault.code !== "unauthenticated") throw error;
    context.remark("Your login has ended; the push goes on, and its end is told here.");
    const detail = await ended(client, started.operation, token);
    return tellOutcome(context, detail.id, { ending: "settled", detail, own: true }, { words: outcomeWords });
  }
}

/** Two seconds late is soon enough for what took longer than a login. */
const pollMs = 2_000;

async function ended({ url }: Client, { id }: Operation, token: string): Promise<OperationDetail> {
  const headers = async () => ({ authorization: `Bearer ${token}` });
  const transfer = openClient({ url, source: "transfer", token: async () => token, headers, renew: async () => false });
  for (;;) {
    const detail = await transfer.get(pathOf("operations", id, "transfer"), OperationDetail);
    if (isSettled(detail.state)) return detail;
    await after(pollMs);
  }
}

/** Settles only when the work fails: its end alone says nothing about the operation. */
function failureOf(working: Promise<void>): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  working.catch(reject);
  return promise;
}
