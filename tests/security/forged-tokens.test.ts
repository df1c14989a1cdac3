/**
 * Forged tokens, none of which is believed: by the signer, by routes of both APIs, by a WebSocket, by the gateway.
 *
 * The one idea: the good token is believed in the same breath at the same places, so a refusal is one of the forgery.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Connection } from "@temporalio/client";
import { pino } from "pino";
import { Registry } from "prom-client";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { WebSocket } from "ws";
import { serveApi, type Served } from "../../api/serve.ts";
import { openDatabase } from "../../db/connect.ts";
import { keyRows } from "../../db/keys.ts";
import { migrate } from "../../db/migrate.ts";
import { findUser } from "../../db/users.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";
import { FaultError } from "../../domain/errors.ts";
import { gatewayMetrics } from "../../gateway/metrics.ts";
import { startGateway, type Gateway } from "../../gateway/start.ts";
import { masterKeySource } from "../../security/master-key.ts";
import { openSecurity } from "../../security/open.ts";
import { storePorts } from "../../workers/stores.ts";
import { openWorld, type World } from "../api/world.ts";
import { forgeFor, forgeriesOf, type Forge, type Forgery } from "./forgeries.ts";

let world: World;
let served: Served;
let gateway: Gateway;
let connection: Connection;
let mine: Forge;
let forgeries: readonly Forgery[];
let home: string;

beforeAll(async () => {
  world = await openWorld();
  const root = await findUser(world.control.db, "root");
  mine = await forgeFor(world.security, { uid: root?.id ?? "", email: "root@localhost" });
  served = await serveApi((request, connection) => world.app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
  const { db } = world.control;
  connection = await Connection.connect({ address: inject("temporalAddress") });
  gateway = await startGateway({
    metrics: gatewayMetrics(new Registry()),
    db,
    security: world.security,
    connection,
    namespace: world.namespace,
    ports: storePorts,
    log: pino({ level: "silent" }),
    listen: { host: "127.0.0.1", port: 0, grpcPort: 0 },
    publicHosts: ["localhost", "127.0.0.1"],
  });
  home = await mkdtemp(join(tmpdir(), "drover-forged-"));
  forgeries = forgeriesOf(world.security, mine, await anotherHub({ uid: root?.id ?? "", email: "root@localhost" }));
}, 180_000);
afterAll(async () => {
  await gateway?.close(100);
  await connection?.close();
  await served?.close(100);
  await world?.close();
  await rm(home, { recursive: true, force: true });
});

async function anotherHub(holder: Parameters<typeof forgeFor>[1]): Promise<Forge> {
  const url = await createDatabase(inject("databaseUrl"));
  await migrate(url);
  const open = openDatabase(url);
  try {
    return await forgeFor(await openSecurity({ masterKey: masterKeySource({ given: undefined, home }), keys: keyRows(open.db) }), holder);
  } finally {
    await open.close();
  }
}

/** Of both APIs, reading and writing, and one that has tokens of its own. */
const routes = [
  ["GET", "/api/v1/machines"],
  ["POST", "/api/v1/auth/users"],
  ["PUT", "/api/v1/catalog/pull"],
  ["GET", "/api/v2/whoami"],
  ["POST", "/api/v2/machines"],
  ["GET", "/api/v2/operations/01900000-0000-7000-8000-000000000000/transfer"],
] as const;
const own = routes.length - 1;
const transfers = "a transfer's token";

const atApi = (token: string) =>
  Promise.all(
    routes.map(async ([method, path]) => {
      const body = method === "GET" ? {} : { body: "{}" };
      return (await world.call(method, path, { token, ...body })).status;
    }),
  );

/** 101 where it was opened. */
async function atSocket(token: string): Promise<number> {
  const socket = new WebSocket(
    `ws://127.0.0.1:${served.port}/api/v1/ws/subscribe?event_types=pdfm&access_token=${encodeURIComponent(token)}`,
  );
  const opened = once(socket, "open").then(() => 101);
  const refused = once(socket, "unexpected-response").then(([, response]: { statusCode: number }[]) => response?.statusCode ?? 0);
  const status = await Promise.race([opened, refused]);
  socket.on("error", () => {}).terminate();
  return status;
}

function atGateway(token: string): Promise<number> {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  return new Promise((resolve, reject) => {
    const request = httpsRequest(`${gateway.url}/host/v1/report`, { method: "POST", headers, rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.once("error", reject).end("{}");
  });
}

it("are at least sixty, each another one", async () => {
  expect(new Set(forgeries.map(([what]) => what)).size).toBe(forgeries.length);
  expect(forgeries.length).toBeGreaterThanOrEqual(60);
});

it("are believed by no route of either API, while the good token is", async () => {
  const good = await atApi(await mine.signed(mine.good()));
  expect(good.map((status, at) => (at === own ? status : status !== 401))).toEqual([true, true, true, true, true, 401]);
  const answers = await each(forgeries, async (what, token) => {
    // A transfer's token is good for a transfer, but for no other one than its own.
    const due = routes.map((_, at) => (at === own && what === transfers ? 404 : 401));
    const statuses = await atApi(token);
    return statuses.join() === due.join() ? null : statuses.join(", ");
  });
  expect(answers).toEqual([]);
});

it("open no WebSocket, while the good token does", async () => {
  expect(await atSocket(await mine.signed(mine.good()))).toBe(101);
  // An address may be too long to be looked at.
  const answers = await each(forgeries, async (_, token) => {
    const status = await atSocket(token);
    return status === 401 || status === 414 ? null : String(status);
  });
  expect(answers).toEqual([]);
});

it("are no host and no push at the gateway, and neither is a user", async () => {
  // This one is the gateway's own.
  const atDoor = forgeries.filter(([what]) => what !== transfers);
  const all: readonly Forgery[] = [...atDoor, ["a user's good token", () => mine.signed(mine.good())]];
  const answers = await each(all, async (_, token) => {
    const status = await atGateway(token);
    return status === 401 ? null : String(status);
  });
  expect(answers).toEqual([]);
});

it("are refused by the signer as what they are, text of chance included", async () => {
  const unknown = forgeries.filter(([what]) => !knownLater.test(what));
  const chance: Forgery[] = Array.from({ length: 200 }, (_, n) => [`${n} bytes of chance`, () => randomBytes(n).toString("latin1")]);
  const answers = await each([...unknown, ...chance], async (_, token) => {
    const refused = await world.signer.verify(token).catch((error: unknown) => error);
    return refused instanceof FaultError && refused.fault.code === "unauthenticated" ? null : JSON.stringify(refused);
  });
  expect(answers).toEqual([]);
  await expect(world.signer.verify(await mine.signed(mine.good()))).resolves.toMatchObject({ email: "root@localhost" });
});

/** What is wrong with the answer to each, all asked at once: an unknown key is looked for once a second, for all who show one. */
async function each(all: readonly Forgery[], wrongWith: (what: string, token: string) => Promise<string | null>): Promise<string[]> {
  const answers = await Promise.all(
    all.map(async ([what, forge]) => {
      const wrong = await wrongWith(what, await forge());
      return wrong === null ? [] : [`${what}: ${wrong}`];
    }),
  );
  return answers.flat();
}
/** Whom they name is looked up by whoever asks. */
const knownLater = /never there|twice/;
