/** What people ask about operations: which there are, how one stands, how it ends. */
import { z } from "zod";
import { OperationState, Verb, type NextAttempt } from "../../domain/operations/schema.ts";
import { pathOf } from "../client.ts";
import { withOptions, type Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { hostIdOf, machineIdOf } from "../names.ts";
import { ago, span, time } from "../output/format.ts";
import { headline } from "../output/progress.ts";
import { facts, table } from "../output/table.ts";
import { given, milliseconds, wholeNumber } from "../values.ts";
import { Operation, OperationDetail } from "../wire.ts";
import { awaitOperation, tellOutcome, took } from "./await.ts";
import { outcomeWords } from "./words.ts";

const Filters = z.object({
  state: OperationState.optional(),
  verb: Verb.optional(),
  machine: z.string().optional(),
  host: z.string().optional(),
  image: z.string().optional(),
  limit: wholeNumber.default(50),
});

export async function listOperations(context: Context, _args: readonly string[], options: unknown): Promise<void> {
  const { machine, host, limit, state, verb, image } = given(Filters, options);
  const client = await context.hub();
  const machineId = machine === undefined ? undefined : await machineIdOf(client, machine);
  const hostId = host === undefined ? undefined : await hostIdOf(client, host);
  const found = await client.list("/operations", Operation, { state, verb, image, machineId, hostId }, limit);
  const words = () =>
    table(
      found,
      [
        { title: "OPERATION", of: ({ id }) => id },
        { title: "VERB", of: ({ verb: what }) => what },
        { title: "SUBJECT", of: ({ subject }) => subject },
        { title: "STATE", of: ({ state: now }) => now },
        { title: "BY", of: ({ actor }) => actor },
        { title: "STARTED", of: ({ createdAt }) => ago(createdAt) },
        { title: "TOOK", of: ({ createdAt, endedAt }) => (endedAt ? span(endedAt.getTime() - createdAt.getTime()) : ""), right: true },
      ],
      "No operations.",
    );
  context.show(found, words);
}

export async function showOperation(context: Context, [id = ""]: readonly string[]): Promise<void> {
  const client = await context.hub();
  const detail = await client.get(pathOf("operations", id), OperationDetail);
  context.show(detail, () => describe(detail));
}

function describe(detail: OperationDetail): string {
  const { id, verb, subject, state, actor, image, hostId, createdAt, fault, temporalUrl, steps, nextAttempt } = detail;
  const about = facts([
    ["operation", id],
    ["what", `${verb} ${subject}`],
    ["state", state],
    ["now", state === "running" || state === "parked" ? headline(detail) : ""],
    ["next", nextAttempt && nextWords(nextAttempt)],
    ["do", state === "parked" ? mending(detail) : nextAttempt && `\`drover operation retry ${id}\` begins it now`],
    ["asked by", actor],
    ["image", image],
    ["host", hostId],
    ["started", time(createdAt)],
    ["took", took(detail)],
    ["fault", fault && `${fault.message} (${fault.code})`],
    ["remedy", fault?.remedy],
    ["Temporal", temporalUrl],
  ]);
  const stepTable = table(
    steps,
    [
      { title: "STEP", of: ({ name }) => name },
      { title: "STATE", of: (step) => step.state },
      { title: "ATTEMPT", of: ({ attempt }) => attempt, right: true },
      {
        title: "TOOK",
        of: ({ startedAt, endedAt }) => (startedAt && endedAt ? span(endedAt.getTime() - startedAt.getTime()) : ""),
        right: true,
      },
      { title: "FAULT", of: (step) => step.fault?.message },
    ],
    "No step has begun.",
  );
  return `${about}\n\n${stepTable}`;
}

function nextWords({ step, attempt, at, fault }: NextAttempt): string {
  const due = at === null ? "when a worker takes it" : at.getTime() > Date.now() ? `in ${span(at.getTime() - Date.now())}` : "now";
  return `${step}: attempt ${attempt} begins ${due}${fault ? `, after ${fault.message} (${fault.code})` : ""}`;
}

function mending({ id, steps }: OperationDetail): string {
  const remedy = steps.find((step) => step.state === "parked")?.fault?.remedy ?? "";
  return `${remedy} \`drover operation retry ${id}\`, or abort, or skip where allowed`.trim();
}

const Wait = z.object({ timeout: milliseconds.optional(), detach: z.boolean().default(false) });

export async function watchOperation(context: Context, [id = ""]: readonly string[], options: unknown): Promise<number> {
  const { timeout } = given(Wait, options);
  const awaited = await awaitOperation(context, await context.hub(), { operationId: id, timeoutMs: timeout });
  return tellOutcome(context, id, awaited, { words: outcomeWords });
}

export async function waitForOperation(context: Context, args: readonly string[], options: unknown): Promise<number> {
  return watchOperation(withOptions(context, { json: context.json, quiet: true }), args, options);
}

/** To be cancelled is what was asked for, so that outcome is success here. */
export async function cancelOperation(context: Context, [id = ""]: readonly string[], options: unknown): Promise<number> {
  const { timeout, detach } = given(Wait, options);
  const client = await context.hub();
  const asked = await client.send("POST", `${pathOf("operations", id)}/cancel`, Operation);
  if (detach) {
    context.show(asked, () => `${id} is being cancelled.`);
    return exitCodes.done.code;
  }
  const awaited = await awaitOperation(context, client, { operationId: id, timeoutMs: timeout });
  const { detail } = awaited;
  if (detail?.state !== "cancelled") return tellOutcome(context, id, awaited, { words: () => "It was done before it could be cancelled." });
  context.show(detail, () => `${detail.verb} ${detail.subject} was cancelled after ${took(detail)}.`);
  return exitCodes.done.code;
}
