/** Where a webhook may not lead, and what a stranger's server can do to whoever sends to it: nothing. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { webhookSenders } from "../../activities/hub/webhook-senders.ts";
import { openReceiver, type Receiver } from "./receiver.ts";

let receiver: Receiver;
beforeAll(async () => {
  receiver = await openReceiver();
});
afterAll(() => receiver.close());
beforeEach(() => {
  receiver.received.length = 0;
});

describe("where nothing is sent", () => {
  const told = {
    deliveryId: "d",
    webhook: "w",
    event: { number: 1, type: "host", name: "host.lost", subjectId: "s", operationId: null, project: "default", at: "", body: {} },
  } as const;
  const strict = webhookSenders({ allow: [], smtp: null });
  const to = (url: string, send = strict) => send({ kind: "http", url, secrets: ["s"], recipients: [], told });
  it.each([
    "http://127.0.0.1",
    "http://localhost",
    "http://[::1]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:7f00:1]",
    "http://2130706433",
    "http://0x7f.1",
    "http://0.0.0.0",
    "http://169.254.169.254",
    "http://10.0.0.1",
    "http://192.168.1.1",
    "http://172.16.0.1",
    "http://100.64.0.1",
    "http://[fe80::1]",
    "http://[fd00::1]",
    "http://[64:ff9b::7f00:1]",
    "http://[ff02::1]",
    "http://224.0.0.1",
  ])("is the hub's own computer and network: %s", async (origin) => {
    expect(await to(`${origin}:${receiver.port}/inside`)).toMatchObject({ delivered: false, isFinal: true, status: null });
    expect(receiver.received).toEqual([]);
  });
  it("unless an operator allowed the network, and then no other", async () => {
    const allowing = webhookSenders({ allow: ["127.0.0.1/32"], smtp: null });
    expect(await to(receiver.url("/allowed"), allowing)).toMatchObject({ delivered: true, status: 200 });
    expect(await to(`http://127.0.0.2:${receiver.port}/other`, allowing)).toMatchObject({ delivered: false, isFinal: true });
  });
  it("and one that takes the connection and never answers is left after ten seconds", async () => {
    const allowing = webhookSenders({ allow: ["127.0.0.1/32"], smtp: null });
    receiver.answer("/silent", { status: 200, silent: true });
    expect(await to(receiver.url("/silent"), allowing)).toMatchObject({
      delivered: false,
      isFinal: false,
      problem: "It did not answer within 10 s.",
    });
  });
  it("and an answer without end is cut, and no word of the address is kept of it", async () => {
    const allowing = webhookSenders({ allow: ["127.0.0.1/32"], smtp: null });
    receiver.answer("/services/T0/canary-path", { status: 404, body: `no route /services/T0/canary-path ${"y".repeat(1_000_000)}` });
    const sent = await to(receiver.url("/services/T0/canary-path"), allowing);
    expect(sent).toMatchObject({ status: 404, snippet: expect.stringMatching(/^no route \*\*\* y+$/) });
    expect(sent.snippet?.length).toBeLessThanOrEqual(500);
  });
});
