/**
 * `drover event list|follow`.
 *
 * The one idea: a stream that breaks is taken up again after the last event that was seen, so what is printed has no gap that is not told.
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { Event as EventShape } from "../../domain/events/schema.ts";
import { FaultError, kindOf } from "../../domain/errors.ts";
import type { Context } from "../context.ts";
import { time } from "../output/format.ts";
import { table } from "../output/table.ts";
import { streamed, type Place } from "../streamed.ts";
import { given, wholeNumber } from "../values.ts";
import { Event } from "../wire.ts";

const Choice = z.object({ type: z.array(z.string()).default(["*"]), since: wholeNumber.optional(), limit: wholeNumber.optional() });
const Lost = z.object({ after: z.int(), until: z.int() });
/** A hub that restarts is back within seconds. */
const againMs = 1_000;

export async function listEvents(context: Context, _args: readonly string[], raw: unknown): Promise<void> {
  const { type, since = -1_000, limit = 200 } = given(Choice, raw);
  const query = { types: type.join(","), after: since };
  const found = await (await context.hub()).list("/events", Event, query, limit === 0 ? undefined : limit);
  const words = () =>
    table(
      found,
      [
        { title: "NUMBER", of: ({ number }) => number, right: true },
        { title: "AT", of: ({ at }) => time(at) },
        { title: "EVENT", of: ({ name }) => name },
        { title: "ABOUT", of: about },
        { title: "OPERATION", of: ({ operationId }) => operationId },
      ],
      "Nothing happened that you may see.",
    );
  context.show(found, words);
}

export async function followEvents(context: Context, _args: readonly string[], raw: unknown): Promise<void> {
  const { type, since, limit } = given(Choice, raw);
  const client = await context.hub();
  const leave = new AbortController();
  const stop = context.onSignal(["SIGINT", "SIGTERM"], () => leave.abort());
  const place: Place = { lastEventId: since === undefined ? undefined : String(since) };
  const path = `/events/stream?types=${encodeURIComponent(type.join(","))}`;
  let shown = 0;
  const refusals: FaultError[] = [];
  const refused = (error: unknown) => {
    // A hub that is away comes back; one that refuses will refuse again.
    if (error instanceof FaultError && kindOf(error.fault.code).status < 500) refusals.push(error);
  };
  try {
    while (!leave.signal.aborted) {
      for await (const { event, data } of streamed(client, path, { place, signal: leave.signal, refused })) {
        const lost = event === "lost" ? Lost.safeParse(data).data : undefined;
        if (lost) context.remark(`Not told: the events above ${lost.after}, up to ${lost.until}.`);
        const told = event === "lost" || event === "begin" ? undefined : Event.safeParse(data).data;
        if (!told) continue;
        context.streams.out.write(context.json ? `${JSON.stringify(told)}\n` : `${lineOf(told)}\n`);
        shown += 1;
        if (shown === limit) return;
      }
      const [refusal] = refusals;
      if (refusal) throw refusal;
      await delay(againMs, undefined, { signal: leave.signal }).catch(() => undefined);
    }
  } finally {
    stop();
  }
}

const lineOf = (event: EventShape): string => `${event.number}  ${time(event.at)}  ${event.name}  ${about(event)}`;

function about({ body, subjectId }: EventShape): string {
  const named = [body["name"], body["subject"], body["image"]].find((value) => typeof value === "string");
  return typeof named === "string" ? named : subjectId;
}
