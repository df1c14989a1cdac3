/**
 * The API over a hub in which every request is taken back once it was answered.
 *
 * The one idea: one transaction around each request, rolled back at its end, so all callers find the same things and nothing needs to be made anew.
 * Who waits for an operation lets time pass, and in this world that ends every operation well.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { createApp } from "../../api/app.ts";
import { operationsOf, poolsOf } from "../../api/main.ts";
import type { Hub } from "../../api/ports.ts";
import type { Database } from "../../db/connect.ts";
import { unsettledOperations } from "../../db/operations.ts";
import { settleOperation } from "../../db/settlement.ts";
import type { RemoteAnswer, RemoteRequest } from "../../domain/catalog/managers.ts";
import { keptStores } from "../../workers/kept-stores.ts";
import { listArchives } from "../../workers/archives.ts";
import { openWorld } from "../api/world.ts";
import { makeCallers, otherProject, type CallerName } from "./callers.ts";
import { makeTargets, nowhere } from "./targets.ts";

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}
export interface Answered {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** Thrown through a transaction to take it back. */
const takenBack = new Error("taken back");

export async function openContract() {
  const base = await openWorld();
  const switched = switching(base.control.db);
  const control = { ...base.control, db: switched.db };
  await base.sql`insert into projects (id) values (${otherProject})`;
  const callers = await makeCallers(base.control.db, base.signer);
  const folder = await mkdtemp(join(tmpdir(), "drover-contract-"));
  const targets = await makeTargets(base, callers, folder);
  const real = operationsOf(control);
  const hub: Hub = {
    ...base.hub,
    db: switched.db,
    // Thousands of lines that nobody reads.
    log: pino({ level: "silent" }),
    // No workflow is started: the request is kept all the same, as when Temporal is away. Words to those under way find that there is none.
    operations: { ...operationsOf({ ...control, temporal: nowhere(base) }), cancel: real.cancel, decide: real.decide },
    pools: { ...poolsOf({ ...control, temporal: nowhere(base) }), wake: () => {} },
    stores: keptStores(control),
    archives: (idOrName, project) => listArchives(control, idOrName, project),
    notifications: {
      ...base.hub.notifications,
      next: (signal) => (switched.isOpen() ? endAll(switched.db, targets.ending) : base.hub.notifications.next(signal)),
    },
    // The catalog behind another one is this one, asked by its super user.
    remotes: {
      open: () => ({ ask: (request) => askRemote(request), download: () => Promise.reject(new Error("Nothing is downloaded.")) }),
    },
  };
  const app = createApp(hub);

  async function askRemote({ method, path, body, headers }: RemoteRequest): Promise<RemoteAnswer> {
    const all = { ...headers, Authorization: `Bearer ${callers.admin.token}`, "Content-Type": "application/json" };
    const response = await app.request(`/api/v1${path}`, {
      method,
      headers: all,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, contentType: response.headers.get("Content-Type") ?? "", text: await response.text() };
  }

  async function ask(name: CallerName, { method, path, headers = {}, body }: Sent): Promise<Answered> {
    const token = name === "none" ? {} : { Authorization: `Bearer ${callers[name].token}` };
    const sent = body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) };
    const type = body === undefined ? {} : { "Content-Type": "application/json" };
    return switched.takingBack(async () => {
      const response = await app.request(path, { method, headers: { ...token, ...type, ...headers }, ...sent });
      const whole = await ended(response, path);
      return { status: whole.status, type: whole.headers.get("Content-Type") ?? "", text: await whole.text() };
    });
  }
  /** Requests that come over a line, one after the other. */
  async function serve(asked: Request, connection: object): Promise<Response> {
    const request = await arrived(asked);
    const turn = queue.then(() => switched.takingBack(async () => ended(await app.fetch(request, connection), request.url)));
    queue = turn.catch(() => undefined);
    return turn;
  }
  let queue: Promise<unknown> = Promise.resolve();
  const close = async () => {
    await base.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { ...base, app, callers, targets, ask, serve, close };
}
export type Contract = Awaited<ReturnType<typeof openContract>>;

/** No transaction is open while a body is on its way; one that is told to be too long never comes. */
async function arrived(request: Request): Promise<Request> {
  if (request.body === null || request.method === "TRACE" || Number(request.headers.get("Content-Length") ?? 0) > 1e8) return request;
  return new Request(request.url, { method: request.method, headers: request.headers, body: await request.arrayBuffer() });
}

/** The answer with its whole body; what would follow events for ever ends with its headers. */
async function ended(response: Response, address: string): Promise<Response> {
  // Taken over by a WebSocket.
  if (response.status < 200) return response;
  const endless = /event-stream/.test(response.headers.get("Content-Type") ?? "") || /\/logs\/+stream/.test(address);
  if (endless) {
    void response.body?.cancel();
    return new Response(null, { status: response.status, headers: { "Content-Type": response.headers.get("Content-Type") ?? "" } });
  }
  return new Response(response.body === null ? null : await response.arrayBuffer(), response);
}

/** A database that is a transaction for as long as a request is answered. What goes on behind a request that has ended finds the database itself. */
function switching(db: Database) {
  const turns = new AsyncLocalStorage<Turn>();
  const now = (): Database => {
    const turn = turns.getStore();
    return turn?.isOpen ? turn.tx : db;
  };
  const proxy = new Proxy(db, {
    get: (_, name) => {
      const target = now();
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  async function takingBack<T>(work: () => Promise<T>): Promise<T> {
    const done: T[] = [];
    await db
      .transaction(async (tx) => {
        const turn: Turn = { tx, isOpen: true };
        try {
          done.push(await turns.run(turn, work));
        } finally {
          turn.isOpen = false;
        }
        throw takenBack;
      })
      .catch((error: unknown) => {
        if (error !== takenBack) throw error;
      });
    const [result] = done;
    if (result === undefined) throw new Error("The request gave no answer.");
    return result;
  }
  return { db: proxy, takingBack, isOpen: () => turns.getStore()?.isOpen === true };
}

interface Turn {
  readonly tx: Database;
  isOpen: boolean;
}

async function endAll(db: Database, result: Record<string, unknown>): Promise<void> {
  for (const { id } of await unsettledOperations(db)) await settleOperation(db, { operationId: id, steps: [], outcome: "done", result });
}
