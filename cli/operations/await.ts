/**
 * Waits for an operation on behalf of a person: shows how far it is, ends with its outcome, and explains Ctrl-C.
 *
 * The one idea: the operation runs at the hub whether or not somebody watches; leaving is free, and cancelling is another act.
 */
import { isSettled } from "../../domain/operations/rules.ts";
import { Nothing, pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { span } from "../output/format.ts";
import { watched, type Watched } from "../output/progress.ts";
import { tellProblem } from "../problem.ts";
import type { OperationDetail } from "../wire.ts";
import { follow } from "./follow.ts";

export interface Awaiting {
  readonly operationId: string;
  readonly timeoutMs?: number | undefined;
  /** The operation needs this process: the first Ctrl-C cancels it. */
  readonly own?: boolean;
  /** False where something else is shown meanwhile, such as a guest's output. */
  readonly progress?: boolean;
  /** Called with every state, before it is shown. */
  readonly onState?: (detail: OperationDetail) => Promise<void>;
}

/** How the wait ended: with a settled operation, at the time limit, or because the person left. */
export interface Awaited {
  readonly ending: "settled" | "timeout" | "left";
  readonly detail: OperationDetail | null;
  readonly own: boolean;
}

export async function awaitOperation(context: Context, client: Client, awaiting: Awaiting): Promise<Awaited> {
  const { operationId, timeoutMs, onState, own = false, progress = true } = awaiting;
  const view: Watched = progress ? watched(context) : { show: () => undefined, say: context.remark, end: () => undefined };
  const leave = new AbortController();
  const limit = timeoutMs === undefined ? null : AbortSignal.timeout(timeoutMs);
  const stopListening = onInterrupt(context, client, awaiting, view, () => leave.abort());
  const parked = new Set<string>();
  let detail: OperationDetail | null = null;
  try {
    for await (detail of follow(client, operationId, limit ? AbortSignal.any([leave.signal, limit]) : leave.signal)) {
      await onState?.(detail);
      view.show(detail);
      tellParked(detail, parked, view);
    }
  } catch (error) {
    if (!leave.signal.aborted && !limit?.aborted) throw error;
  } finally {
    view.end();
    stopListening();
  }
  if (detail && isSettled(detail.state)) return { ending: "settled", detail, own };
  return { ending: leave.signal.aborted ? "left" : "timeout", detail, own };
}

function onInterrupt(
  context: Context,
  client: Client,
  { operationId, own = false }: Awaiting,
  view: Watched,
  leave: () => void,
): () => void {
  let asked = false;
  const offTerminate = own ? () => undefined : context.onSignal(["SIGTERM"], leave);
  const offInterrupt = context.onSignal(own ? ["SIGINT", "SIGTERM"] : ["SIGINT"], () => {
    if (asked) return leave();
    asked = true;
    if (!own) {
      view.say(`The operation goes on. Cancel it with \`drover operation cancel ${operationId}\`; Ctrl-C again leaves it alone.`);
      return;
    }
    view.say("Cancelling, because the bundle is sent from here. Ctrl-C again leaves at once.");
    const told = client.send("POST", `${pathOf("operations", operationId)}/cancel`, Nothing);
    told.catch((error: unknown) =>
      view.say(`The operation could not be cancelled: ${error instanceof Error ? error.message : String(error)}`),
    );
  });
  return () => {
    offTerminate();
    offInterrupt();
  };
}

/** Says once of each step and attempt that it waits for an operator. */
export function tellParked({ id, steps, temporalUrl }: OperationDetail, told: Set<string>, view: Pick<Watched, "say">): void {
  for (const { name, state, fault, attempt } of steps) {
    const key = `${name} ${attempt}`;
    if (state !== "parked" || told.has(key)) continue;
    told.add(key);
    const words = `Then \`drover operation retry ${id}\`; \`abort\` gives it up, \`skip\` goes on without the step where that is allowed.`;
    const lines = [`${name} waits for an operator: ${fault?.message ?? ""}`, fault?.remedy ?? "", words, temporalUrl ?? ""];
    view.say(lines.filter((line) => line !== "").join("\n  "));
  }
}

/** What people and scripts get of an operation that is done; scripts get the operation where nothing else is said. */
export interface Telling {
  readonly words: (detail: OperationDetail) => string;
  readonly value?: (detail: OperationDetail) => unknown;
}

/** Tells how it ended and answers the exit code. */
export function tellOutcome(
  context: Context,
  operationId: string,
  { ending, detail, own }: Awaited,
  { words, value = (same) => same }: Telling,
): number {
  if (ending !== "settled" || detail === null) {
    if (detail && context.json) context.show(detail, () => "");
    const message = ending === "timeout" ? "The time to wait is over." : "You left.";
    const remedy = own
      ? `The operation is being cancelled: \`drover operation show ${operationId}\` tells how it ends.`
      : `The operation goes on: \`drover operation wait ${operationId}\` waits for it.`;
    tellProblem(context, { code: ending, message, remedy });
    return exitCodes.timeout.code;
  }
  if (detail.state === "done") {
    context.show(value(detail), () => words(detail));
    return exitCodes.done.code;
  }
  if (context.json) context.show(detail, () => "");
  const { code = detail.state, message = `The operation ended as ${detail.state}.`, remedy = "" } = detail.fault ?? {};
  tellProblem(context, { code, message, remedy, details: { operationId } });
  return (detail.state === "cancelled" ? exitCodes.cancelled : exitCodes.failed).code;
}

/** How long it took, as people say it. */
export const took = ({ createdAt, endedAt }: OperationDetail): string => (endedAt ? span(endedAt.getTime() - createdAt.getTime()) : "");
