/**
 * Streams of events: nobody is told what they may not read, nobody who comes back misses anything, a slow reader costs nothing, and it is the same stream
 * whichever API process serves it.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../api/app.ts";
import { listenForEvents, type Notifications } from "../../api/notifications.ts";
import { serveApi, type Served } from "../../api/serve.ts";
import { relay } from "../../control/relay.ts";
import { lastEventNumber, recordEvent } from "../../db/events.ts";
import { tellMachine } from "../../db/machines.ts";
import { addImage, addStore, standing } from "../control/hub.ts";
import { cutLine, type CutLine } from "./cut-line.ts";
import { follow, listenTo } from "./listening.ts";
import { openTurns, writeTurns } from "./turns.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

const password = "Correct-horse-8!";
let world: World;
let [here, there]: Served[] = [];
let line: CutLine;
let elsewhere: Notifications;
let [root, jane] = ["", ""];

beforeAll(async () => {
  world = await openWorld();
  await addImage(world, await addStore(world), "ubuntu");
  here = await serveApi((request, connection) => world.app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
  line = await cutLine(world.url);
  elsewhere = listenForEvents(line.url);
  const other = createApp({ ...world.hub, notifications: elsewhere });
  there = await serveApi((request, connection) => other.fetch(request, connection), { host: "127.0.0.1", port: 0 });
  root = await world.login("root", rootPassword);
  jane = await newUser("jdoe");
});
afterAll(async () => {
  await here?.close(500);
  await there?.close(500);
  await elsewhere.close();
  await line.close();
  await world.close();
});

async function newUser(username: string): Promise<string> {
  const body = { username, name: username, email: `${username}@example.com`, password };
  expect((await world.call("POST", "/api/v1/auth/users", { token: root, body })).status).toBeLessThan(300);
  return world.login(username, password);
}
const portOf = (served: Served | undefined): number => served?.port ?? 0;
const tell = async (name: string, subjectId = randomUUID()): Promise<string> => {
  await recordEvent(world.hub.db, { type: "host", name, subjectId, body: { name: subjectId } });
  await relay(world.hub.db);
  return subjectId;
};
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

describe("whoever listens", () => {
  it("is told of the machines that it may reach and of no others, from the event on that changes its rights", async () => {
    const { db } = world.hub;
    const [open, guarded] = [await standing(world), await standing(world)];
    await world.sql`update machines set required_roles = '{INSIDERS}' where id = ${guarded.machineId}`;
    await world.call("POST", "/api/v1/auth/roles", { token: root, body: { name: "INSIDERS" } });
    await relay(db);
    const [superUser, user, sse] = await Promise.all([
      listenTo(portOf(here), `event_types=pdfm,orchestrator&access_token=${root}`),
      listenTo(portOf(here), `event_types=pdfm,orchestrator&access_token=${jane}`),
      follow(portOf(here), "/api/v2/events/stream?types=machine.*", bearer(jane)),
    ]);
    sse.read();
    const ready = async ({ machineId: id, name }: { machineId: string; name: string }) => {
      await tellMachine(db, { id, name, project: "default" }, "machine.ready", {});
      await relay(db);
    };
    const toldOf = (frames: typeof user.frames, id: string) => frames.filter(({ body }) => JSON.stringify(body ?? "").includes(id)).length;
    await ready(open);
    await ready(guarded);
    await tell("host.late");
    await user.until(({ message }) => message === "HOST_HEALTH_UPDATE");
    await superUser.until(({ message }) => message === "HOST_HEALTH_UPDATE");
    expect([toldOf(user.frames, open.machineId), toldOf(user.frames, guarded.machineId)]).toEqual([2, 0]);
    expect(toldOf(superUser.frames, guarded.machineId)).toBe(2);
    expect(sse.events.map(({ data }) => data.subjectId)).toEqual([open.machineId]);

    await world.call("POST", "/api/v1/auth/users/jdoe/roles", { token: root, body: { name: "INSIDERS" } });
    await ready(guarded);
    await user.until(({ body }) => JSON.stringify(body ?? "").includes(guarded.machineId));
    await world.call("DELETE", "/api/v1/auth/users/jdoe/roles/INSIDERS", { token: root });
    await ready(guarded);
    const mark = await tell("host.lost");
    await user.until(({ body }) => body?.host_id === mark);
    await superUser.until(({ body }) => body?.host_id === mark);
    expect(toldOf(user.frames, guarded.machineId)).toBe(2);
    expect(toldOf(superUser.frames, guarded.machineId)).toBe(6);
    expect(sse.events.filter(({ data }) => data.subjectId === guarded.machineId)).toHaveLength(1);
    for (const { socket } of [superUser, user]) socket.close();
    sse.close();
  });

  it("hears no log and no number of the process without the right to it", async () => {
    const [superUser, user] = await Promise.all([
      listenTo(portOf(here), `event_types=system_logs&access_token=${root}`),
      listenTo(portOf(here), `event_types=system_logs&access_token=${jane}`),
    ]);
    world.hub.log.info({ event: "test" }, "a line for insiders");
    const line = await superUser.until(({ event_type: type }) => type === "system_logs");
    expect(line.body).toEqual({ level: "info", message: expect.any(String), time: expect.any(String) });
    await superUser.until(({ body }) => body?.message === "a line for insiders");
    expect(user.frames).toHaveLength(1);
    for (const { socket } of [superUser, user]) socket.close();
  });

  it("is told nothing more once the key was revoked or the password changed", async () => {
    const token = await newUser("leaver");
    const made = await world.call("POST", "/api/v1/auth/api_keys", { token: root, body: { name: "k", key: "k", secret: "s3cret-s3cret" } });
    const byKey = await listenTo(portOf(here), "event_types=orchestrator", { "X-Api-Key": made.body.encoded });
    const byLogin = await listenTo(portOf(there), `event_types=orchestrator&access_token=${token}`);
    const stream = await follow(portOf(there), "/api/v2/events/stream", bearer(token));
    stream.read();
    await world.call("PUT", "/api/v1/auth/api_keys/k/revoke", { token: root });
    await world.call("PUT", "/api/v1/auth/users/leaver", { token: root, body: { password: "Another-horse-7!" } });
    await relay(world.hub.db);
    expect(await Promise.all([byKey.closed, byLogin.closed])).toEqual([1008, 1008]);
    await expect.poll(() => stream.isEnded(), { timeout: 60_000 }).toBe(true);
  });
});

describe("whoever comes back", () => {
  it("goes on after its cursor: nothing twice, nothing left out, under the same ids, at any process", async () => {
    const first = await listenTo(portOf(here), `event_types=orchestrator&access_token=${jane}`);
    const seen = await tell("host.online");
    const { cursor, id } = await first.until(({ body }) => body?.host_id === seen);
    first.socket.close();
    await first.closed;
    const missed = [await tell("host.late"), await tell("host.lost"), await tell("host.online")];
    const again = await listenTo(portOf(there), `event_types=orchestrator&cursor=${cursor}&access_token=${jane}`);
    const before = await listenTo(portOf(here), `event_types=orchestrator&cursor=${Number(cursor) - 1}&access_token=${jane}`);
    const last = await tell("host.late");
    await again.until(({ body }) => body?.host_id === last);
    await before.until(({ body }) => body?.host_id === last);
    const hosts = (frames: typeof again.frames) => frames.slice(1).map(({ body }) => body.host_id);
    expect(hosts(again.frames)).toEqual([...missed, last]);
    expect(hosts(before.frames)).toEqual([seen, ...missed, last]);
    expect(before.frames[1]?.id).toBe(id);
    for (const { socket } of [again, before]) socket.close();
  });

  it("says where by Last-Event-ID, to the stream of the wire and to ours, and lists the same", async () => {
    const after = await lastEventNumber(world.hub.db);
    const hosts = [await tell("host.late"), await tell("host.lost")];
    const headers = { ...bearer(jane), "Last-Event-ID": String(after) };
    const [wire, ours] = [
      await follow(portOf(here), "/api/v1/ws/subscribe?event_types=orchestrator", headers),
      await follow(portOf(there), "/api/v2/events/stream?types=host.*", headers),
    ];
    for (const stream of [wire, ours]) stream.read();
    await wire.until(({ data }) => data.body?.host_id === hosts[1]);
    await ours.until(({ data }) => data.subjectId === hosts[1]);
    expect(wire.events.map(({ id, data }) => [id, data.body.host_id])).toEqual(hosts.map((host, n) => [String(after + n + 1), host]));
    expect(ours.events.map(({ id, event, data }) => [id, event, data.subjectId])).toEqual([
      [String(after + 1), "host.late", hosts[0]],
      [String(after + 2), "host.lost", hosts[1]],
    ]);
    const { body } = await world.call("GET", `/api/v2/events?types=host.*&after=${after}`, { token: jane });
    expect(body.items.map((event: { subjectId: string }) => event.subjectId)).toEqual(hosts);
    expect(body).toMatchObject({ nextCursor: null, last: after + 2 });
    expect((await world.call("GET", "/api/v2/events?types=host.*&after=-2&limit=1", { token: jane })).body).toMatchObject({
      items: [{ subjectId: hosts[0] }],
      nextCursor: String(after + 1),
    });
    for (const stream of [wire, ours]) stream.close();
    for (const wrong of ["x", "-1", "1.5"])
      expect((await world.call("GET", `/api/v2/events/stream?cursor=${wrong}`, { token: jane })).status).toBe(400);
    expect((await world.call("GET", "/api/v2/events?types=nonsense", { token: jane })).status).toBe(400);
  });

  it("is told which numbers it is not told: those that are dropped, and those that are too many", async () => {
    const { db } = world.hub;
    const newest = await lastEventNumber(db);
    await world.sql`insert into events (id, number, type, name, subject_id, project)
      select gen_random_uuid(), ${newest}::bigint + n, 'host', 'host.online', 'x', 'default' from generate_series(1, 10500) n`;
    const at = (number: number) => ({ ...bearer(jane), "Last-Event-ID": String(number) });
    const tooFar = await follow(portOf(here), "/api/v2/events/stream", at(newest + 499));
    const justNot = await follow(portOf(here), "/api/v2/events/stream", at(newest + 500));
    for (const stream of [tooFar, justNot]) stream.read();
    await tooFar.until(({ event }) => event === "lost");
    expect(tooFar.events).toEqual([{ id: String(newest + 10_500), event: "lost", data: { after: newest + 499, until: newest + 10_500 } }]);
    await justNot.until(({ id }) => id === String(newest + 10_500));
    expect(justNot.events).toHaveLength(10_000);
    for (const stream of [tooFar, justNot]) stream.close();
    await world.sql`delete from events where number <= ${newest + 10_400}`;
    const gone = await listenTo(portOf(here), `event_types=orchestrator&cursor=${newest + 10_000}&access_token=${jane}`);
    const lost = await gone.until(({ message }) => message === "lost");
    expect(lost).toMatchObject({ event_type: "global", body: { after: newest + 10_000, until: newest + 10_400 } });
    await gone.until(({ cursor }) => cursor === String(newest + 10_500));
    gone.socket.close();
  });

  it("costs nothing while it does not read: what it has not taken is read from the rows when it does, in order", async () => {
    const slow = await follow(portOf(here), "/api/v2/events/stream?types=host.*", bearer(jane));
    const after = await lastEventNumber(world.hub.db);
    const big = "x".repeat(40_000);
    await world.sql`insert into events (id, number, type, name, subject_id, project, body)
      select gen_random_uuid(), ${after}::bigint + n, 'host', 'host.online', 'x', 'default', jsonb_build_object('filling', ${big}::text) from generate_series(1, 1200) n`;
    const quick = await listenTo(portOf(here), `event_types=orchestrator&access_token=${jane}`);
    const mark = await tell("host.late");
    await quick.until(({ body }) => body?.host_id === mark);
    // Nothing of these is in the process any more: what it would have kept back would be sent in spite of it.
    await world.sql`update events set body = '{}' where number between ${after + 1100} and ${after + 1200}`;
    slow.read();
    await slow.until(({ data }) => data.subjectId === mark);
    expect(slow.events.map(({ id }) => Number(id))).toEqual(Array.from({ length: 1201 }, (_, n) => after + n + 1));
    expect(slow.events.slice(1099, 1200).every(({ data }) => data.body.filling === undefined)).toBe(true);
    for (const end of [slow.close, () => quick.socket.close()]) end();
  });
});

describe("several API processes", () => {
  it("are one hub of events: told here, heard there; listed and left at either", async () => {
    const client = await listenTo(portOf(there), `event_types=auth,orchestrator&access_token=${root}`);
    const { client_id: clientId } = client.welcome.body;
    await world.call("POST", "/api/v1/auth/claims", { token: root, body: { name: "told here" } });
    await relay(world.hub.db);
    await client.until(({ message }) => message === "CLAIM_ADDED");
    const listed = await world.call("GET", "/api/v1/ws/clients", { token: root });
    expect(listed.body).toContainEqual(expect.objectContaining({ id: clientId, event_subscriptions: ["auth", "orchestrator", "global"] }));
    const leave = { client_id: clientId, event_types: ["auth"] };
    expect((await world.call("POST", "/api/v1/ws/unsubscribe", { token: jane, body: leave })).status).toBe(404);
    expect((await world.call("POST", "/api/v1/ws/unsubscribe", { token: root, body: leave })).status).toBe(200);
    await expect
      .poll(
        async () => {
          const before = client.frames.length;
          await world.call("DELETE", "/api/v1/auth/claims/TOLD_HERE", { token: root });
          await world.call("POST", "/api/v1/auth/claims", { token: root, body: { name: "told here" } });
          const mark = await tell("host.late");
          await client.until(({ body }) => body?.host_id === mark);
          return client.frames.slice(before).filter(({ event_type: type }) => type === "auth").length;
        },
        { timeout: 60_000 },
      )
      .toBe(0);
    client.socket.close();
    await expect
      .poll(async () => JSON.stringify((await world.call("GET", "/api/v1/ws/clients", { token: root })).body), { timeout: 60_000 })
      .not.toContain(clientId);
  });

  it("tell what happened to each machine in its order, whoever writes, numbers and reads", async () => {
    const { db } = world.hub;
    const machines = await openTurns(world);
    const after = await lastEventNumber(db);
    const readers = await Promise.all(
      [here, there].map((served) => follow(portOf(served), "/api/v2/events/stream?types=host.*", bearer(jane))),
    );
    for (const { read } of readers) read();
    await writeTurns(world, machines, 120);
    await relay(db);
    for (const reader of readers) {
      await reader.until(({ id }) => Number(id) === after + 120);
      expect(reader.events.map(({ id }) => Number(id))).toEqual(Array.from({ length: 120 }, (_, n) => after + n + 1));
      for (const machine of machines) {
        const turns = reader.events.filter(({ data }) => data.subjectId === machine).map(({ data }) => data.body.turn);
        expect(turns).toEqual(turns.map((_, n) => n + 1));
      }
      reader.close();
    }
  });

  it("go on from the rows while their line to PostgreSQL is cut, and listen again once it is mended", async () => {
    const sessions = async () => {
      const listening = await world.sql`select pid from pg_stat_activity
        where application_name = 'drover-events' and datname = current_database() and query like 'listen%'`;
      return listening.map(({ pid }) => Number(pid));
    };
    const client = await listenTo(portOf(there), `event_types=orchestrator&access_token=${jane}`);
    await expect.poll(async () => (await sessions()).length, { timeout: 60_000 }).toBe(2);
    const before = await sessions();
    line.cut();
    await expect.poll(async () => (await sessions()).length, { timeout: 60_000 }).toBe(1);
    const mark = await tell("host.lost");
    await client.until(({ body }) => body?.host_id === mark);
    line.mend();
    await expect.poll(async () => (await sessions()).length, { timeout: 60_000 }).toBe(2);
    expect((await sessions()).every((pid) => before.includes(pid))).toBe(false);
    client.socket.close();
  });
});
