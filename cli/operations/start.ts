/**
 * What every command does that starts an operation: asks for it, then waits or says how to.
 *
 * The one idea: one path for all verbs, so that --detach, --timeout, --json, Ctrl-C and exit codes mean the same everywhere.
 */
import { z } from "zod";
import type { Operation as OperationShape } from "../../domain/operations/schema.ts";
import { OnFault } from "../../domain/operations/schema.ts";
import type { Client } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { given, milliseconds } from "../values.ts";
import type { OperationDetail } from "../wire.ts";
import { awaitOperation, tellOutcome, type Awaiting } from "./await.ts";
import { outcomeWords } from "./words.ts";

const Waiting = z.object({ detach: z.boolean().default(false), timeout: milliseconds.optional(), onFault: OnFault.optional() });
export type Waiting = z.infer<typeof Waiting>;
export const waitingOf = (options: unknown): Waiting => given(Waiting, options);

export interface Started extends Omit<Awaiting, "operationId" | "timeoutMs"> {
  readonly operation: OperationShape;
  readonly waiting: Waiting;
  /** What is told, and what scripts get, once it is done. */
  readonly words?: (detail: OperationDetail) => string;
  readonly value?: (detail: OperationDetail) => unknown;
}

/** Shows the outcome of an operation that was just started, or the operation itself with --detach. */
export async function seeThrough(context: Context, client: Client, started: Started): Promise<number> {
  const { operation, waiting, words = outcomeWords, value, own, onState } = started;
  if (waiting.detach) {
    context.show(operation, () => operation.id);
    context.remark(`\`drover operation watch ${operation.id}\` shows how far it is.`);
    return exitCodes.done.code;
  }
  const awaiting = { operationId: operation.id, timeoutMs: waiting.timeout, ...(own ? { own } : {}), ...(onState ? { onState } : {}) };
  return tellOutcome(context, operation.id, await awaitOperation(context, client, awaiting), { words, ...(value ? { value } : {}) });
}
