/**
 * A hub that sends: its API, its hub worker with real workflows, and the loop that turns events into deliveries, run by the test so that nothing waits for a
 * clock.
 */
import { DefaultLogger, NativeConnection, Runtime } from "@temporalio/worker";
import { expect, inject } from "vitest";
import type { SenderSettings } from "../../activities/hub/webhook-senders.ts";
import { relay } from "../../control/relay.ts";
import { sendEvents } from "../../control/webhooks.ts";
import { recordEvent, type NewEvent } from "../../db/events.ts";
import type { Delivery, DeliveryDetail } from "../../domain/webhooks/schema.ts";
import { hubWorker } from "../../workers/hub.ts";
import { openWorld, rootPassword } from "../api/world.ts";

Runtime.install({ logger: new DefaultLogger("ERROR"), shutdownSignals: [] });

export async function openSender(webhooks: SenderSettings) {
  const world = await openWorld();
  const connection = await NativeConnection.connect({ address: inject("temporalAddress") });
  const worker = await hubWorker({ control: world.control, codec: world.codec, connection, webhooks });
  const running = worker.run();
  const root = await world.login("root", rootPassword);
  const { db } = world.control;

  /** One pass of the loops, as the hub's leader makes them. */
  const send = async (): Promise<void> => {
    await relay(db);
    await sendEvents(world.control);
  };
  const tell = async (event: Partial<NewEvent> & { name: string }): Promise<void> => {
    await recordEvent(db, { type: "host", subjectId: "mac", body: { name: "mac" }, ...event });
    await send();
  };
  const add = async (body: object, token = root): Promise<{ id: string; secret: string }> => {
    const made = await world.call("POST", "/api/v2/webhooks", { token, body });
    expect(made.status, made.text).toBe(201);
    return made.body;
  };
  const deliveries = async (webhook: string): Promise<Array<Delivery>> =>
    (await world.call("GET", `/api/v2/webhooks/${webhook}/deliveries`, { token: root })).body.items;
  const detail = async (id: string): Promise<DeliveryDetail> => (await world.call("GET", `/api/v2/deliveries/${id}`, { token: root })).body;
  /** The newest delivery of a webhook once it is met. */
  const until = async (webhook: string, met: (delivery: Delivery) => boolean): Promise<DeliveryDetail> => {
    await expect.poll(async () => (await deliveries(webhook)).some(met), { timeout: 60_000, interval: 50 }).toBe(true);
    return detail((await deliveries(webhook)).find(met)?.id ?? "");
  };
  const close = async () => {
    worker.shutdown();
    await running;
    await connection.close();
    await world.close();
  };
  return { ...world, root, send, tell, add, deliveries, detail, until, close };
}
export type Sender = Awaited<ReturnType<typeof openSender>>;
