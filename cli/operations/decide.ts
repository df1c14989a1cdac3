/**
 * An operator's word on a step that waits: `retry`, `skip`, `abort`.
 *
 * The one idea: the hub answers once the workflow has taken the word; what comes of it is waited for like any operation, unless it parks again.
 */
import { setTimeout as after } from "node:timers/promises";
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import type { Decision } from "../../domain/operations/rules.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import type { Action } from "../declare.ts";
import { exitCodes } from "../exit-codes.ts";
import { given, milliseconds } from "../values.ts";
import { Operation } from "../wire.ts";
import { awaitOperation, tellOutcome, took } from "./await.ts";
import { outcomeWords } from "./words.ts";

const Wait = z.object({ timeout: milliseconds.optional(), detach: z.boolean().default(false) });

const taken: Record<Decision, string> = {
  retry: "The step is tried again.",
  skip: "The step is left out, and the operation goes on.",
  abort: "The operation is given up; what it did is taken back.",
};

export const decided =
  (word: Decision): Action =>
  async (context, [id = ""], options) =>
    decide(context, { id, word, ...given(Wait, options) });

/** A hub worker that restarts is back within seconds; the hub itself waits 5 s for one. */
const repeats = 3;
const pauseMs = 1_000;

/** Sends a word again that nobody took; under one key it is taken once. */
async function persistent<T>(context: Context, ask: () => Promise<T>): Promise<T> {
  for (let left = repeats; ; left--) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof FaultError) || error.fault.code !== "hub_unavailable" || left === 0) throw error;
      context.remark(`${error.fault.message.split(". ")[0]}; it is asked again.`);
      await after(pauseMs);
    }
  }
}

interface Deciding extends z.infer<typeof Wait> {
  readonly id: string;
  readonly word: Decision;
}

async function decide(context: Context, { id, word, timeout, detach }: Deciding): Promise<number> {
  const client = await context.hub();
  const key = crypto.randomUUID();
  const asked = await persistent(context, () => client.send("POST", `${pathOf("operations", id)}/${word}`, Operation, { key }));
  if (detach) {
    context.show(asked, () => taken[word]);
    context.remark(`\`drover operation watch ${id}\` shows how far it is.`);
    return exitCodes.done.code;
  }
  context.remark(taken[word]);
  const awaited = await awaitOperation(context, client, { operationId: id, timeoutMs: timeout });
  const { detail } = awaited;
  // To be given up is what was asked for, so that outcome is success here.
  const aborted = word === "abort" && detail?.state === "failed" && detail.fault?.code === "operation_aborted";
  if (!aborted) return tellOutcome(context, id, awaited, { words: outcomeWords });
  context.show(detail, () => `${detail.verb} ${detail.subject} was given up after ${took(detail)}.`);
  return exitCodes.done.code;
}
