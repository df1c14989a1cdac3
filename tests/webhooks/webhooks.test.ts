/**
 * Webhooks against real receivers: what is sent is signed and right, sent once per event and only what its owner may see, tried again, written down, and never
 * sent where it must not go. Secrets stay where they belong.
 */
import { createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { webhookSenders } from "../../activities/hub/webhook-senders.ts";
import { deliverActivities } from "../../activities/hub/webhooks.ts";
import { relay } from "../../control/relay.ts";
import { endLostDeliveries, sendEvents } from "../../control/webhooks.ts";
import { recordEvent } from "../../db/events.ts";
import { deliveriesToBegin, dropOldDeliveries } from "../../db/webhook-deliveries.ts";
import { deliveryWorkflowId } from "../../domain/webhooks/rules.ts";
import { describeManaging } from "./managing.ts";
import { openReceiver, type Receiver } from "./receiver.ts";
import { openSender, type Sender } from "./world.ts";

const letters: string[] = [];
const smtp = new SMTPServer({
  authOptional: false,
  disabledCommands: ["STARTTLS"],
  allowInsecureAuth: true,
  onAuth: ({ username, password }, _session, done) =>
    username === "drover" && password === "canary-smtp-password" ? done(null, { user: username }) : done(new Error("no")),
  onRcptTo: ({ address }, _session, done) => done(address.startsWith("refused") ? new Error("nobody") : undefined),
  onData: (stream, _session, done) => {
    let text = "";
    stream.on("data", (part: Buffer) => (text += part.toString()));
    stream.on("end", () => {
      letters.push(text);
      done();
    });
  },
});
let sender: Sender;
let receiver: Receiver;

beforeAll(async () => {
  await new Promise<void>((resolve) => smtp.listen(0, "127.0.0.1", resolve));
  const { port } = smtp.server.address() as AddressInfo;
  receiver = await openReceiver();
  sender = await openSender({
    allow: ["127.0.0.0/8"],
    smtp: { url: `smtp://drover:canary-smtp-password@127.0.0.1:${port}`, from: "drover@example.com" },
  });
});
afterAll(async () => {
  await sender.close();
  await receiver.close();
  await new Promise<void>((resolve) => smtp.close(() => resolve()));
});
beforeEach(() => {
  receiver.received.length = 0;
});
const ended = ({ state }: { state: string }) => state !== "pending";
const named = (name: string) => receiver.received.filter(({ path }) => path === `/${name}`);

describe("what is sent", () => {
  it("is each event that fits, once, signed over its time and its bytes, and written down", async () => {
    const { id, secret } = await sender.add({ name: "signed", url: receiver.url("/signed"), events: ["host.lost", "image.*"] });
    expect(secret).toMatch(/^whsec_[\w-]{43}$/);
    await sender.tell({ name: "host.late" });
    await sender.tell({ name: "host.lost", subjectId: "mac-1" });
    await sender.send();
    await sender.send();
    const detail = await sender.until("signed", ended);
    expect(detail).toMatchObject({ webhookId: id, eventName: "host.lost", state: "delivered", round: 1, attempts: 1 });
    expect(detail.log).toMatchObject([{ attempt: 1, delivered: true, status: 200, problem: null, snippet: "thanks" }]);
    expect(await sender.deliveries("signed")).toHaveLength(1);
    const [request, ...more] = named("signed");
    expect(more).toEqual([]);
    const { headers, body = "" } = request ?? {};
    const at = headers?.["drover-webhook-timestamp"];
    expect(Math.abs(Number(at) - Date.now() / 1000)).toBeLessThan(60);
    const signature = createHmac("sha256", secret).update(`${at}.${body}`).digest("hex");
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "drover-webhook-id": detail.id,
      "drover-webhook-event": "host.lost",
      "drover-webhook-signature": `v1=${signature}`,
    });
    expect(JSON.parse(body)).toMatchObject({
      id: detail.id,
      webhook: "signed",
      event: { number: detail.eventNumber, type: "host", name: "host.lost", subjectId: "mac-1", project: "default", body: { name: "mac" } },
    });
  });

  it("is signed by both secrets after a change, and by the new one alone once the time of the old one is over", async () => {
    const { secret: old } = await sender.add({ name: "rotated", url: receiver.url("/rotated"), events: ["host.lost"] });
    const change = { rotateSecret: { keepSeconds: 3600 } };
    const { secret: young } = (await sender.call("PATCH", "/api/v2/webhooks/rotated", { token: sender.root, body: change })).body;
    const signatures = async () => {
      const before = named("rotated").length;
      await sender.tell({ name: "host.lost" });
      await expect.poll(() => named("rotated").length, { timeout: 60_000 }).toBe(before + 1);
      const { headers, body } = named("rotated")[before] ?? { headers: {} as IncomingHttpHeaders, body: "" };
      const of = (secret: string) =>
        `v1=${createHmac("sha256", secret).update(`${headers["drover-webhook-timestamp"]}.${body}`).digest("hex")}`;
      return { sent: headers["drover-webhook-signature"], of };
    };
    const both = await signatures();
    expect(both.sent).toBe(`${both.of(young)},${both.of(old)}`);
    await sender.sql`update webhooks set previous_secret_until = now() - interval '1 second' where name = 'rotated'`;
    const one = await signatures();
    expect(one.sent).toBe(one.of(young));
  });

  it("is what its owner may see at that moment, and whoever changes it takes it over", async () => {
    const user = { username: "watcher", name: "W", email: "w@example.com", password: "Correct-horse-8!" };
    await sender.call("POST", "/api/v1/auth/users", { token: sender.root, body: user });
    expect((await sender.call("POST", "/api/v2/webhooks", { token: await sender.login("watcher", user.password), body: {} })).status).toBe(
      403,
    );
    await sender.call("POST", "/api/v1/auth/users/watcher/claims", { token: sender.root, body: { name: "UPDATE" } });
    const token = await sender.login("watcher", user.password);
    await sender.add({ name: "own", url: receiver.url("/own"), events: ["host.lost", "access.*", "operation.*"] }, token);
    await sender.tell({ name: "host.lost", subjectId: "seen" });
    await sender.tell({ type: "access", name: "api_key.added", subjectId: "hidden" });
    await sender.tell({ type: "operation", name: "operation.done", subjectId: "00000000-0000-4000-8000-000000000000" });
    await sender.until("own", ended);
    expect((await sender.deliveries("own")).map(({ eventName }) => eventName)).toEqual(["host.lost"]);
    for (const right of ["claims/LIST", "roles/USER"])
      await sender.call("DELETE", `/api/v1/auth/users/watcher/${right}`, { token: sender.root });
    const [first] = await sender.deliveries("own");
    await sender.call("POST", `/api/v2/deliveries/${first?.id}/redeliver`, { token: sender.root });
    await sender.tell({ name: "host.lost", subjectId: "not seen any more" });
    const again = await sender.until("own", (delivery) => ended(delivery) && delivery.round === 2);
    expect(again.log.at(-1)).toMatchObject({
      delivered: false,
      status: null,
      problem: expect.stringContaining("may not see this event any more"),
    });
    expect(await sender.deliveries("own")).toHaveLength(1);
    expect((await sender.call("PATCH", "/api/v2/webhooks/own", { token: sender.root, body: { events: ["host.*"] } })).body.createdBy).toBe(
      "root",
    );
    await sender.tell({ name: "host.lost", subjectId: "seen by root" });
    await expect.poll(() => named("own").length, { timeout: 60_000 }).toBe(2);
  });
});

describe("a delivery that fails", () => {
  it("is tried again, with all that the receiver said written down, until it arrives", async () => {
    receiver.answer("/flaky", { status: 503, body: "later \0 please" }, { status: 200 });
    await sender.add({ name: "flaky", url: receiver.url("/flaky"), events: ["host.lost"] });
    await sender.tell({ name: "host.lost" });
    const waiting = await sender.until("flaky", ({ attempts }) => attempts === 1);
    expect(waiting).toMatchObject({ state: "pending", log: [{ status: 503, problem: "It answers with 503.", snippet: "later  please" }] });
    expect(new Date(waiting.nextAt ?? 0).getTime()).toBeGreaterThan(Date.now() - 5_000);
    const done = await sender.until("flaky", ended);
    expect(done).toMatchObject({ state: "delivered", attempts: 2, nextAt: null });
    const [first, second] = named("flaky");
    expect([first?.headers["drover-webhook-id"], first?.body]).toEqual([second?.headers["drover-webhook-id"], second?.body]);
  });

  it("follows no redirect, is sent anew by command, and goes with its webhook", async () => {
    receiver.answer("/moved", { status: 302, location: receiver.url("/elsewhere") });
    const { id } = await sender.add({ name: "moved", url: receiver.url("/moved"), events: ["host.lost"] });
    await sender.tell({ name: "host.lost" });
    const waiting = await sender.until("moved", ({ attempts }) => attempts === 1);
    expect(waiting.log[0]).toMatchObject({ status: 302, problem: "It answers with a redirect, and none is followed." });
    receiver.answer("/moved", { status: 200 });
    expect((await sender.call("POST", `/api/v2/deliveries/${waiting.id}/redeliver`, { token: sender.root })).body).toMatchObject({
      round: 2,
    });
    await sender.send();
    const done = await sender.until("moved", ended);
    expect(done).toMatchObject({ state: "delivered", round: 2, attempts: 1 });
    expect(receiver.received.map(({ path }) => path)).not.toContain("/elsewhere");
    expect((await sender.call("DELETE", "/api/v2/webhooks/moved", { token: sender.root })).status).toBe(204);
    expect(await sender.sql`select 1 from webhook_deliveries where webhook_id = ${id}`).toHaveLength(0);
    expect((await sender.call("GET", `/api/v2/deliveries/${done.id}`, { token: sender.root })).status).toBe(404);
  });

  it("is dead after the last attempt, whoever runs that attempt twice sends once, and it lives again by command", async () => {
    receiver.answer("/dead", { status: 500 });
    await sender.add({ name: "dead", url: receiver.url("/dead"), events: ["host.lost"] });
    await recordEvent(sender.control.db, { type: "host", name: "host.lost", subjectId: "mac" });
    await relay(sender.control.db);
    // Two leaders for a moment, as when a lock is lost.
    await Promise.all([sendEvents(sender.control), sendEvents(sender.control)]);
    const { id, round } = await sender.until("dead", ({ attempts }) => attempts === 1);
    const send = webhookSenders({ allow: ["127.0.0.1"], smtp: null });
    const { attemptDelivery } = deliverActivities({ db: sender.control.db, sealer: sender.control.sealer, send });
    const last = { deliveryId: id, round, attempt: 10, waitMs: null };
    expect([await attemptDelivery(last), await attemptDelivery(last)]).toEqual(["failed", "failed"]);
    expect(named("dead")).toHaveLength(2);
    expect(await sender.detail(id)).toMatchObject({ state: "dead", attempts: 10, nextAt: null });
    expect(await attemptDelivery({ ...last, attempt: 11 })).toBe("over");
    expect(await sender.deliveries("dead")).toHaveLength(1);
    receiver.answer("/dead", { status: 200 });
    await sender.call("POST", `/api/v2/deliveries/${id}/redeliver`, { token: sender.root });
    await sender.send();
    expect(await sender.until("dead", ended)).toMatchObject({ id, state: "delivered", round: 2 });
  });

  it("is dead when its workflow was ended by hand", async () => {
    receiver.answer("/ended", { status: 500 });
    const { id } = await sender.add({ name: "ended", url: receiver.url("/ended"), events: ["host.lost"] });
    await sender.tell({ name: "host.lost" });
    const waiting = await sender.until("ended", ({ attempts }) => attempts === 1);
    await endLostDeliveries(sender.control);
    expect((await sender.detail(waiting.id)).state).toBe("pending");
    await sender.control.temporal.workflow.getHandle(deliveryWorkflowId({ id, deliveryId: waiting.id, round: 1 })).terminate();
    await sender.sql`update webhook_deliveries set next_at = now() - interval '16 minutes' where id = ${waiting.id}`;
    await endLostDeliveries(sender.control);
    expect((await sender.detail(waiting.id)).state).toBe("dead");
  });

  it("keeps others of its webhook waiting in their rows while a hundred are under way, and those of no other webhook", async () => {
    const { id } = await sender.add({ name: "flooded", url: receiver.url("/flooded"), events: ["image.*"] });
    const { id: other } = await sender.add({ name: "calm", url: receiver.url("/calm"), events: ["image.*"] });
    await sender.sql`insert into webhook_deliveries (id, webhook_id, event_name, event, begun)
      select gen_random_uuid(), ${id}, 'image.x', '{}', n <= 95 from generate_series(1, 10000) n`;
    await sender.sql`insert into webhook_deliveries (id, webhook_id, event_name, event) values (gen_random_uuid(), ${other}, 'image.x', '{}')`;
    const chosen = (await deliveriesToBegin(sender.control.db, 1000)).map(({ webhookId }) => webhookId);
    expect(chosen.filter((webhook) => webhook === id)).toHaveLength(5);
    expect(chosen.filter((webhook) => webhook === other)).toHaveLength(1);
    await recordEvent(sender.control.db, { type: "image", name: "image.x", subjectId: "x" });
    await relay(sender.control.db);
    await sendEvents(sender.control);
    const [row] =
      await sender.sql`select problem, (select count(*)::int from webhook_deliveries where webhook_id = ${id}) as kept from webhooks where id = ${id}`;
    expect(row).toEqual({ problem: expect.stringContaining("10000 deliveries wait"), kept: 10_000 });
    for (const webhook of [id, other]) await sender.call("DELETE", `/api/v2/webhooks/${webhook}`, { token: sender.root });
  });

  it("is dropped with its log when it is old", async () => {
    await sender.add({ name: "old", url: receiver.url("/old"), events: ["host.lost"] });
    await sender.tell({ name: "host.lost" });
    const { id } = await sender.until("old", ended);
    await dropOldDeliveries(sender.control.db, 60_000, 1000);
    expect(await sender.deliveries("old")).toHaveLength(1);
    await sender.sql`update webhook_deliveries set ended_at = now() - interval '2 minutes' where id = ${id}`;
    await dropOldDeliveries(sender.control.db, 60_000, 1000);
    expect(await sender.deliveries("old")).toHaveLength(0);
    expect(await sender.sql`select 1 from webhook_attempts where delivery_id = ${id}`).toHaveLength(0);
  });
});

describe("other formats", () => {
  it("are a message for Slack, without anything that Slack would take for its own", async () => {
    await sender.add({ name: "chat", kind: "slack", url: receiver.url("/slack"), events: ["host.lost"] });
    await sender.tell({ name: "host.lost", body: { name: "<!channel> & co" } });
    await sender.until("chat", ended);
    const { headers, body = "" } = named("slack")[0] ?? {};
    expect(headers?.["drover-webhook-signature"]).toBeUndefined();
    expect(JSON.parse(body)).toMatchObject({ text: "host.lost: &lt;!channel&gt; &amp; co", blocks: [{ type: "section" }] });
    expect(body).not.toContain("<!channel>");
  });

  it("are letters through an SMTP server with a password, whose refusals are told", async () => {
    await sender.add({ name: "post", kind: "email", to: ["ops@example.com"], events: ["host.lost"] });
    await sender.add({ name: "nobody", kind: "email", to: ["refused@example.com"], events: ["host.lost"] });
    await sender.tell({ name: "host.lost", body: { name: "mac\r\nBcc: all@example.com" } });
    const { id, log } = await sender.until("post", ended);
    expect(log).toMatchObject([{ delivered: true, status: 250 }]);
    const letter = letters.join("");
    expect(letter).toMatch(/^To: ops@example\.com\r?$/m);
    expect(letter).toMatch(/^Subject: \[drover\] host\.lost: mac Bcc: all@example\.com\r?$/m);
    expect(letter).toMatch(new RegExp(`^Message-ID: <${id}@drover>`, "m"));
    expect(letter).not.toMatch(/^Bcc:/m);
    expect((await sender.until("nobody", ({ attempts }) => attempts === 1)).log).toMatchObject([{ delivered: false, status: 550 }]);
  });
});

describeManaging(() => ({ sender, receiver }));
