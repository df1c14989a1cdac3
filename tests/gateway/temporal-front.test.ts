/** What the gRPC front lets a host do with Temporal, and what it does not, with a real worker and a real server. */
import { randomUUID } from "node:crypto";
import { heartbeat } from "@temporalio/activity";
import { Client, Connection } from "@temporalio/client";
import proto from "@temporalio/proto";
import { bundleWorkflowCode, NativeConnection, Worker } from "@temporalio/worker";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { HostIdentity } from "../../activities/host/hub-link.ts";
import { callerQueue, hostQueue } from "../../domain/operations/rules.ts";
import { operations } from "../../db/schema.ts";
import { queueRules } from "../../gateway/queues.ts";
import { hubConverter } from "../../workers/temporal.ts";
import { hostFacts, inventoryOf, namespace, startHub, type Hub } from "./hub.ts";

let hub: Hub;
let hubWorker: Worker;
let running: Promise<void>;
let a: HostIdentity;
let b: HostIdentity;
const hubQueue = `hub-${randomUUID()}`;

beforeAll(async () => {
  hub = await startHub();
  [a, b] = await Promise.all([hub.enrol("mac-a"), hub.enrol("mac-b")]);
  const workflowBundle = await bundleWorkflowCode({ workflowsPath: new URL("./workflows.ts", import.meta.url).pathname });
  const connection = await NativeConnection.connect({ address: hub.connection.options.address });
  hubWorker = await Worker.create({
    connection,
    namespace,
    taskQueue: hubQueue,
    workflowBundle,
    dataConverter: hubConverter(hub.security.codec),
  });
  running = hubWorker.run();
}, 180_000);

afterAll(async () => {
  hubWorker.shutdown();
  await running;
  await hub.stop();
});

const activities = {
  echo: async (word: string) => {
    heartbeat({ progress: `heartbeat of ${word}` });
    return `${word} came back`;
  },
  refuse: async (word: string) => {
    throw new Error(`no such thing as ${word}`);
  },
};

async function serve(identity: HostIdentity, taskQueue = hostQueue(identity.hostId)) {
  const link = await hub.link(identity);
  return Worker.create({ connection: await link.connection(), namespace, taskQueue, activities, shutdownGraceTime: "1 second" });
}

/** A client that speaks to the front as a stranger would who has this host's token. */
async function intruder(identity: HostIdentity): Promise<Connection> {
  const link = await hub.link(identity);
  const tls = { serverRootCACertificate: Buffer.from(identity.authority) };
  return Connection.connect({ address: identity.grpcAddress, tls, apiKey: await link.token(), interceptors: [] });
}

async function push(): Promise<string> {
  const id = randomUUID();
  const said = { verb: "push", state: "running", subject: "x", actor: "root", actorId: "root", onFault: "fail", input: {} } as const;
  await hub.db.insert(operations).values({ id, workflowId: `push/${id}`, ...said });
  return id;
}

const start = (type: "echo" | "refuse", identity: HostIdentity, word: string) =>
  hub.client.workflow.start(type, { taskQueue: hubQueue, workflowId: `${type}/${randomUUID()}`, args: [hostQueue(identity.hostId), word] });

async function historyText(workflowId: string): Promise<string> {
  const history = await hub.plain.workflow.getHandle(workflowId).fetchHistory();
  return Buffer.from(proto.temporal.api.history.v1.History.encode(history).finish()).toString("latin1");
}

describe("the front for Temporal", () => {
  it("carries a host's activity end to end, and the server's history shows nothing of it in clear", async () => {
    const worker = await serve(a);
    const handle = await worker.runUntil(async () => {
      const started = await start("echo", a, "plaintext-secret");
      expect(await started.result()).toBe("plaintext-secret came back");
      return started;
    });
    const stored = await historyText(handle.workflowId);
    expect(stored).toContain("binary/encrypted");
    expect(stored).not.toContain("plaintext-secret");
  });

  it("hides message and stack of a host's failure from the server, and gives them to the hub", async () => {
    const worker = await serve(a);
    const handle = await worker.runUntil(async () => {
      const started = await start("refuse", a, "plaintext-secret");
      await expect(started.result()).rejects.toMatchObject({ cause: { cause: { message: "no such thing as plaintext-secret" } } });
      return started;
    });
    expect(await historyText(handle.workflowId)).not.toContain("plaintext-secret");
  });

  it("refuses the queue of another host, of the hub, and names that only begin like one's own", async () => {
    const connection = await intruder(a);
    for (const name of [hostQueue(b.hostId), "hub", `${hostQueue(a.hostId)}-io`, "", `caller-${randomUUID()}`]) {
      const poll = connection.workflowService.pollActivityTaskQueue({ namespace, taskQueue: { name } });
      await expect(poll, name).rejects.toMatchObject({ code: 7 });
    }
    await connection.close();
  });

  it("starts, signals, terminates and lists nothing", async () => {
    const connection = await intruder(a);
    const client = new Client({ connection, namespace });
    const handle = client.workflow.getHandle("push/image/1");
    const attempts = [
      client.workflow.start("echo", { taskQueue: "hub", workflowId: randomUUID(), args: [] }),
      handle.signal("hostLost"),
      handle.terminate(),
      handle.cancel(),
      handle.fetchHistory(),
      client.workflow.count(),
      connection.workflowService.pollWorkflowTaskQueue({ namespace, taskQueue: { name: "hub" } }),
      connection.operatorService.deleteNamespace({ namespace }),
    ];
    const outcomes = await Promise.allSettled(attempts);
    expect(outcomes.map(({ status }) => status)).toEqual(attempts.map(() => "rejected"));
    await connection.close();
  });

  it("lets nobody but the host that polled a task beat for it, complete it or fail it, also after the gateway was restarted", async () => {
    const [connectionA, connectionB] = [await intruder(a), await intruder(b)];
    const handle = await start("echo", a, "for a alone");
    const task = await connectionA.workflowService.pollActivityTaskQueue({ namespace, taskQueue: { name: hostQueue(a.hostId) } });
    const { taskToken } = task;
    expect(Buffer.from(task.input?.payloads?.[0]?.data ?? []).toString()).toBe('"for a alone"');

    const services = connectionB.workflowService;
    await expect(services.recordActivityTaskHeartbeat({ namespace, taskToken })).rejects.toMatchObject({ code: 7 });
    await expect(services.respondActivityTaskCompleted({ namespace, taskToken })).rejects.toMatchObject({ code: 7 });
    await expect(services.respondActivityTaskFailed({ namespace, taskToken, failure: { message: "b" } })).rejects.toMatchObject({
      code: 7,
    });
    await expect(services.respondActivityTaskCanceled({ namespace, taskToken })).rejects.toMatchObject({ code: 7 });

    await hub.restartGateway();
    const result = { payloads: [{ metadata: { encoding: Buffer.from("json/plain") }, data: Buffer.from('"done by a"') }] };
    await vi.waitFor(() => connectionA.workflowService.respondActivityTaskCompleted({ namespace, taskToken, result }), { timeout: 60_000 });
    expect(await handle.result()).toBe("done by a");
    await Promise.all([connectionA.close(), connectionB.close()]);
  });

  it("lets a caller's own computer poll the queue of the operation that its right names, until it ended", async () => {
    const [own, foreign] = [await push(), await push()];
    const { token } = await hub.security.transfers.issue(own);
    const tls = { serverRootCACertificate: Buffer.from(a.authority) };
    const connection = await Connection.connect({ address: a.grpcAddress, tls, apiKey: token, interceptors: [] });
    const poll = (name: string) => connection.workflowService.pollActivityTaskQueue({ namespace, taskQueue: { name } });

    const args = [callerQueue(own), "for its caller"];
    await hub.client.workflow.start("echo", { taskQueue: hubQueue, workflowId: `echo/${randomUUID()}`, args });
    const task = await poll(callerQueue(own));
    expect(Buffer.from(task.input?.payloads?.[0]?.data ?? []).toString()).toBe('"for its caller"');
    for (const name of [callerQueue(foreign), callerQueue(randomUUID()), hostQueue(a.hostId), "hub"]) {
      await expect(poll(name), name).rejects.toMatchObject({ code: 7 });
    }
    await hub.sql`update operations set state = 'done' where id = ${own}`;
    await expect(poll(callerQueue(own))).rejects.toMatchObject({ code: 7 });
    await connection.close();
  });

  it("opens nothing for a host that sends what was encrypted elsewhere", async () => {
    const connection = await intruder(a);
    await start("echo", a, "a task");
    const { taskToken } = await connection.workflowService.pollActivityTaskQueue({ namespace, taskQueue: { name: hostQueue(a.hostId) } });
    const foreign = await hub.security.codec.encode([{ metadata: { encoding: Buffer.from("json/plain") }, data: Buffer.from('"of b"') }]);
    const details = { payloads: foreign };
    await expect(connection.workflowService.recordActivityTaskHeartbeat({ namespace, taskToken, details })).rejects.toMatchObject({
      code: 3,
    });
    await connection.workflowService.respondActivityTaskFailed({
      namespace,
      taskToken,
      failure: { message: "enough", applicationFailureInfo: {} },
    });
    await connection.close();
  });

  it("knows no login: a token of a user opens nothing here", async () => {
    const claims = { email: "ann@example.com", username: "Ann", uid: "ann", roles: [], claims: [] };
    const { token } = await hub.security.signer.issue(claims, 60_000);
    const tls = { serverRootCACertificate: Buffer.from(a.authority) };
    const connection = Connection.lazy({ address: a.grpcAddress, tls, apiKey: token, interceptors: [] });
    await expect(connection.workflowService.describeNamespace({ namespace })).rejects.toMatchObject({ code: 16 });
    await connection.close();
  });

  it("ends a long poll without a task as an empty answer, also while it shuts down", async () => {
    const d = await hub.enrol("mac-d");
    const connection = await intruder(d);
    const poll = connection.workflowService.pollActivityTaskQueue({ namespace, taskQueue: { name: hostQueue(d.hostId) } });
    await vi.waitFor(async () => expect(await pollers(d)).toBeGreaterThan(0), { timeout: 60_000 });
    await hub.connection.workflowService.shutdownWorker({ namespace, identity: `host:${d.hostId}` });
    await hub.restartGateway();
    expect((await poll).taskToken ?? []).toHaveLength(0);
    await connection.close();
  });

  it("counts a second process of one host as displaced while the first one reports, and the first one never", async () => {
    const facts = hostFacts();
    const identity = await hub.enrol("twice", facts);
    const [first, second] = [await hub.link(identity), await hub.link(identity)];
    const rules = queueRules(hub.db);
    const displaced = ({ session }: { session: string }) => rules.isDisplaced({ kind: "host", hostId: identity.hostId, session });
    expect([await displaced(first), await displaced(second)]).toEqual([false, false]);
    await first.report([inventoryOf(facts, 1)]);
    expect([await displaced(first), await displaced(second)]).toEqual([false, true]);
    await hub.sql`update hosts set last_report_at = now() - interval '8 seconds' where id = ${identity.hostId}`;
    expect(await displaced(second)).toBe(false);
  });

  it("refuses calls without a token, with a forged one, and with one for another hub", async () => {
    const tls = { serverRootCACertificate: Buffer.from(a.authority) };
    const foreign = await hub.link({ ...a, hubId: randomUUID() });
    const forged = await hub.link({ ...a, privateKey: b.privateKey });
    for (const apiKey of ["", "nonsense", await foreign.token(), await forged.token()]) {
      const connection = Connection.lazy({ address: a.grpcAddress, tls, interceptors: [], ...(apiKey === "" ? {} : { apiKey }) });
      await expect(connection.workflowService.describeNamespace({ namespace })).rejects.toMatchObject({ code: 16 });
      await connection.close();
    }
  });

  it("ends a long poll at Temporal when the host's stream ends, so that the next task is not lost", async () => {
    const c = await hub.enrol("mac-c");
    const connection = await intruder(c);
    const gone = new AbortController();
    const poll = connection.withAbortSignal(gone.signal, () =>
      connection.workflowService.pollActivityTaskQueue({ namespace, taskQueue: { name: hostQueue(c.hostId) } }),
    );
    // The server lists a poller once its poll has arrived there.
    await vi.waitFor(async () => expect(await pollers(c)).toBeGreaterThan(0), { timeout: 60_000 });
    gone.abort();
    await expect(poll).rejects.toThrow();
    const worker = await serve(c);
    const began = performance.now();
    expect(await worker.runUntil(async () => (await start("echo", c, "next")).result())).toBe("next came back");
    // A task handed to the dead poll would come back by its heartbeat timeout only, and this workflow tries once.
    expect(performance.now() - began).toBeLessThan(8_000);
    await connection.close();
  });
});

async function pollers(c: HostIdentity): Promise<number> {
  const told = await hub.connection.workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: hostQueue(c.hostId) },
    taskQueueType: 2,
  });
  return told.pollers?.length ?? 0;
}
