/** `drover webhook test|deliveries|delivery|redeliver`: what was sent, and what the receiver made of it. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { DeliveryState, type DeliveryDetail as DetailShape } from "../../domain/webhooks/schema.ts";
import { pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { ago, span, time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { given, milliseconds, wholeNumber } from "../values.ts";
import { Delivery, DeliveryDetail } from "../wire.ts";

const Waiting = z.object({ timeout: milliseconds.prefault("30s") });
/** Soon enough for whoever waits; an attempt takes up to ten seconds. */
const lookEveryMs = 300;

export async function testWebhook(context: Context, [webhook = ""]: readonly string[], raw: unknown): Promise<number> {
  const { timeout } = given(Waiting, raw);
  const client = await context.hub();
  const { id } = await client.send("POST", pathOf("webhooks", webhook, "test"), Delivery);
  const detail = await attempted(client, id, timeout);
  context.show(detail, () => describe(detail));
  if (detail.state === "delivered") return exitCodes.done.code;
  return detail.log.length > 0 ? exitCodes.failed.code : exitCodes.timeout.code;
}

/** Once there was an attempt, or the time is over. */
async function attempted(client: Client, id: string, limitMs: number): Promise<DetailShape> {
  const until = Date.now() + limitMs;
  for (;;) {
    const detail = await client.get(pathOf("deliveries", id), DeliveryDetail);
    if (detail.log.length > 0 || detail.state !== "pending" || Date.now() > until) return detail;
    await delay(lookEveryMs);
  }
}

const Listing = z.object({ state: DeliveryState.optional(), limit: wholeNumber.default(50) });

export async function listDeliveries(context: Context, [webhook = ""]: readonly string[], raw: unknown): Promise<void> {
  const { state, limit } = given(Listing, raw);
  const path = pathOf("webhooks", webhook, "deliveries");
  const found = await (await context.hub()).list(path, Delivery, { state }, limit === 0 ? undefined : limit);
  const words = () =>
    table(
      found,
      [
        { title: "DELIVERY", of: ({ id }) => id },
        { title: "EVENT", of: ({ eventName }) => eventName },
        { title: "NUMBER", of: ({ eventNumber }) => eventNumber, right: true },
        { title: "STATE", of: ({ state: now }) => now },
        { title: "ATTEMPTS", of: ({ attempts }) => attempts, right: true },
        { title: "NEXT", of: ({ nextAt }) => ago(nextAt) },
        { title: "MADE", of: ({ createdAt }) => ago(createdAt) },
      ],
      "Nothing was sent.",
    );
  context.show(found, words);
}

export async function showDelivery(context: Context, [id = ""]: readonly string[]): Promise<void> {
  const detail = await (await context.hub()).get(pathOf("deliveries", id), DeliveryDetail);
  context.show(detail, () => describe(detail));
}

export async function redeliver(context: Context, [id = ""]: readonly string[]): Promise<void> {
  const again = await (await context.hub()).send("POST", pathOf("deliveries", id, "redeliver"), Delivery);
  context.show(again, () => `The delivery ${again.id} is sent anew; \`drover webhook delivery ${again.id}\` shows what comes of it.`);
}

function describe({ id, eventName, eventNumber, state, round, nextAt, endedAt, log }: DetailShape): string {
  const head = facts([
    ["delivery", id],
    ["event", eventNumber === null ? eventName : `${eventName}, number ${eventNumber}`],
    ["state", state],
    ["round", round],
    ["next attempt", time(nextAt)],
    ["ended", time(endedAt)],
  ]);
  const attempts = table(
    log,
    [
      { title: "ATTEMPT", of: (one) => `${one.round}.${one.attempt}` },
      { title: "AT", of: ({ at }) => time(at) },
      { title: "TOOK", of: ({ durationMs }) => span(durationMs) },
      { title: "STATUS", of: ({ status }) => status, right: true },
      { title: "PROBLEM", of: ({ problem }) => problem },
      { title: "ANSWER", of: ({ snippet }) => snippet?.replace(/\s+/g, " ").slice(0, 80) },
    ],
    "No attempt yet.",
  );
  return `${head}\n\n${attempts}`;
}
