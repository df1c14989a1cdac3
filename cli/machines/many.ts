/**
 * `drover machine create --count`: waits for all machines of one request, with one line that says how many are ready.
 *
 * The one idea: they are waited for in their order, since whoever waits for all does not care which is first; those that end meanwhile cost one look each.
 */
import { isSettled } from "../../domain/operations/rules.ts";
import { pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { tellParked, took } from "../operations/await.ts";
import { follow } from "../operations/follow.ts";
import type { Waiting } from "../operations/start.ts";
import { tellProblem } from "../problem.ts";
import { Machine, ManyProvisionings, type OperationDetail } from "../wire.ts";

export async function makeMany(context: Context, client: Client, { body, waiting }: { body: object; waiting: Waiting }): Promise<number> {
  const { items } = await client.send("POST", "/machines", ManyProvisionings, { body });
  if (waiting.detach) {
    context.show({ items }, () => items.map(({ operation }) => operation.id).join("\n"));
    return exitCodes.done.code;
  }
  const ids = items.map(({ operation }) => operation.id);
  const { ended, ending } = await awaitAll(context, client, ids, waiting.timeout);
  if (context.json) context.show({ items: await Promise.all(items.map((item) => itemOf(client, item, ended))) }, () => "");
  if (ending !== "settled") {
    const message = ending === "timeout" ? "The time to wait is over." : "You left.";
    const remedy = `${ids.length - ended.size} operations go on: \`drover operation list --verb provision\` shows them.`;
    tellProblem(context, { code: ending, message, remedy });
    return exitCodes.timeout.code;
  }
  return tellAll(context, [...ended.values()]);
}

async function itemOf(client: Client, { operation, machine }: { operation: { id: string }; machine: { id: string } }, ended: Ended) {
  const detail = ended.get(operation.id);
  const ready = detail?.state === "done" ? await client.get(pathOf("machines", machine.id), Machine) : machine;
  return { operation: detail ?? operation, machine: ready };
}

function tellAll(context: Context, all: readonly OperationDetail[]): number {
  const bad = all.filter(({ state }) => state !== "done");
  const [first] = bad;
  if (first) {
    const { code = first.state, message = `The operation ended as ${first.state}.`, remedy = "" } = first.fault ?? {};
    const told = `${bad.length} of ${all.length} machines were not made. ${first.subject}: ${message}`;
    tellProblem(context, { code, message: told, remedy, details: { operationIds: bad.map(({ id }) => id) } });
    return (bad.some(({ state }) => state === "failed") ? exitCodes.failed : exitCodes.cancelled).code;
  }
  const last = all.toSorted((a, b) => (a.endedAt?.getTime() ?? 0) - (b.endedAt?.getTime() ?? 0)).at(-1);
  if (!context.json) context.show(null, () => `${all.length} machines are ready${last ? ` after ${took(last)}` : ""}.`);
  return exitCodes.done.code;
}

type Ended = Map<string, OperationDetail>;

async function awaitAll(
  context: Context,
  client: Client,
  ids: readonly string[],
  timeoutMs: number | undefined,
): Promise<{ ended: Ended; ending: "settled" | "timeout" | "left" }> {
  const leave = new AbortController();
  const limit = timeoutMs === undefined ? null : AbortSignal.timeout(timeoutMs);
  const signal = limit ? AbortSignal.any([leave.signal, limit]) : leave.signal;
  const stopListening = context.onSignal(["SIGINT"], () => leave.abort());
  const line = progressLine(context, ids.length);
  const ended: Ended = new Map();
  const parked = new Set<string>();
  try {
    for (const id of ids) {
      for await (const detail of follow(client, id, signal)) {
        tellParked(detail, parked, { say: line.say });
        if (isSettled(detail.state)) ended.set(id, detail);
      }
      line.show(ended.size);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    line.end();
    stopListening();
  }
  if (ended.size === ids.length) return { ended, ending: "settled" };
  return { ended, ending: leave.signal.aborted ? "left" : "timeout" };
}

/** On a terminal alone: a log is told the end. */
function progressLine({ streams: { err }, quiet, remark }: Context, all: number) {
  const shown = err.isTTY === true && !quiet;
  const clear = () => void (shown && err.write("\r\u001b[K"));
  return {
    show: (count: number) => void (shown && err.write(`\r\u001b[K${count} of ${all} machines`)),
    say: (text: string) => {
      clear();
      remark(text);
    },
    end: clear,
  };
}
