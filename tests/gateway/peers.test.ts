/** Hosts that take chunks from one another: by the hub's certificates alone, only what each was granted, and the store whenever that fails. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { request, type RequestOptions } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrivateKey } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grantedStore } from "../../activities/host/granted-store.ts";
import type { HostIdentity } from "../../activities/host/hub-link.ts";
import { jsonOf } from "../../activities/host/hub-link-http.ts";
import { openPeers, type Peers } from "../../activities/host/peers.ts";
import { openPins } from "../../activities/host/pins.ts";
import { hosts, operations, stores } from "../../db/schema.ts";
import { PeerAnswer } from "../../domain/hosts/peers.ts";
import { openCache, type Cache } from "../../images/cache.ts";
import { pullTree, type PullResult } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { newHostKey } from "../../security/host-tokens.ts";
import { folderStore } from "../../stores/folder.ts";
import { listTree, makeDisk } from "../images/samples.ts";
import { freePort } from "../../deploy/ports.ts";
import { hostFacts, startHub, type Hub } from "./hub.ts";

interface Mac {
  readonly identity: HostIdentity;
  readonly cache: Cache;
  readonly peers: Peers;
  readonly port: number;
}

let hub: Hub;
let folder: string;
let storeId: string;
let digest: string;
const macs: Mac[] = [];
const signal = new AbortController().signal;

beforeAll(async () => {
  hub = await startHub();
  folder = await mkdtemp(join(tmpdir(), "drover-peers-"));
  storeId = randomUUID();
  const location = join(folder, "store");
  await hub.db.insert(stores).values({ id: storeId, name: "folder", kind: "folder", location: `folder:${location}` });
  const bundlePath = join(folder, "golden");
  makeDisk(bundlePath, "peers", 12_000_000);
  const ask = { bundlePath, store: folderStore(location), bases: [], journalPath: join(folder, "journal"), generation: 1, signal };
  digest = (await pushBundle(ask)).digest;
  for (const name of ["mac-a", "mac-b", "mac-c"]) macs.push(await openMac(name));
}, 180_000);
afterAll(async () => {
  await Promise.all(macs.map(({ peers }) => peers.close()));
  await hub.stop();
  await rm(folder, { recursive: true, force: true });
});

describe("peers", () => {
  it("gives a host what another has cached, and the store sends none of it", async () => {
    const [first, second] = two();
    await pull(first);
    const pulled = await pull(second);
    expect(listTree(second.cache.paths(digest).bundle)).toEqual(listTree(join(folder, "golden")));
    expect(pulled.fetchedBytes).toBe(0);
  });

  it("hands out nothing without a certificate of the hub, under one for another image, or under one for serving", async () => {
    const [first, second] = two();
    await caching(first);
    const other = "b".repeat(64);
    const right = await certificate(second, await operation(second, digest));
    const wrong = await certificate(second, await operation(second, other));
    const serving = await certificate(second, undefined);
    expect(await rowsFrom(first, { key: pem(second), cert: right })).toBe(200);
    expect(await rowsFrom(first, { key: pem(second), cert: wrong })).toBe(403);
    expect(await rowsFrom(first, { key: pem(second), cert: serving })).toMatch(/ECONNRESET|alert|EPIPE/i);
    expect(await rowsFrom(first, {})).toMatch(/ECONNRESET|alert|EPIPE/i);
    const thief = createPrivateKey({ key: { ...newHostKey() }, format: "jwk" })
      .export({ type: "pkcs8", format: "pem" })
      .toString();
    expect(await rowsFrom(first, { key: thief, cert: right })).toMatch(/mismatch/i);
  });

  it("takes nothing from whoever listens at a peer's address and is another host, and has it all from the store", async () => {
    const [first, second, third] = [...two(), macs[2]];
    if (!third) throw new Error("There are three hosts.");
    await caching(first);
    await second.cache.remove(digest);
    // The hub believes that the third host serves where the first one does.
    await tellPeer(third, first.port, [digest]);
    await tellPeer(first, first.port, []);
    const pulled = await pull(second);
    expect(pulled.fetchedBytes).toBeGreaterThan(12_000_000);
    await tellPeer(third, third.port, []);
  });

  it("refuses a certificate for an operation that runs on another host, or that has ended", async () => {
    const [first, second] = two();
    const theirs = await operation(first, digest);
    await expect(certificate(second, theirs)).rejects.toMatchObject({ fault: { code: "grant_refused" } });
    await hub.db.update(operations).set({ state: "done" }).where(eq(operations.id, theirs));
    await expect(certificate(first, theirs)).rejects.toMatchObject({ fault: { code: "grant_refused" } });
  });
});

function two(): [Mac, Mac] {
  const [first, second] = macs;
  if (!first || !second) throw new Error("There are three hosts.");
  return [first, second];
}

async function openMac(name: string): Promise<Mac> {
  const identity = await hub.enrol(name);
  const link = await hub.link(identity);
  const cache = openCache(join(folder, name));
  const port = await freePort();
  const address = { host: "127.0.0.1", port, network: "test" };
  const onError = (error: unknown) => console.error(name, error);
  const peers = await openPeers({ identity, link, address, shared: { cache, pins: openPins() }, onError });
  const mac = { identity, cache, peers, port };
  await tellPeer(mac, port, []);
  return mac;
}

/** As the host's next inventory would. */
async function tellPeer({ identity }: Pick<Mac, "identity">, port: number, cached: string[]): Promise<void> {
  const facts = { ...hostFacts(), peer: { host: "127.0.0.1", port, network: "test" } };
  const images = cached.map((one) => ({ digest: one, bytes: 1, lastUsedAt: new Date().toISOString() }));
  await hub.db.update(hosts).set({ facts, cached: images, lastReportAt: new Date() }).where(eq(hosts.id, identity.hostId));
}

async function operation({ identity: { hostId } }: Mac, chosen: string): Promise<string> {
  const id = randomUUID();
  const input = { chosen: { storeId, digest: chosen, generation: 1 } };
  const common = { subject: "image", actor: "root", actorId: "root", onFault: "fail" as const, workflowId: `pull/x/${id}` };
  await hub.db.insert(operations).values({ id, verb: "pull", state: "running", hostId, input, ...common });
  return id;
}

async function pull(mac: Mac): Promise<PullResult> {
  const link = await hub.link(mac.identity);
  const operationId = await operation(mac, digest);
  const ended = new AbortController();
  const near = await mac.peers.near({ digest, operationId: () => operationId, signal: ended.signal });
  const targetPath = mac.cache.incoming(digest).folder;
  const store = grantedStore(link, operationId, signal);
  const pulled = await pullTree({ digest, generation: 1, store, targetPath, seeds: [], signal, near, threads: 1 });
  ended.abort();
  await mac.cache.reveal(digest);
  await hub.db.update(operations).set({ state: "done" }).where(eq(operations.id, operationId));
  await tellPeer(mac, mac.port, [digest]);
  return pulled;
}

async function caching(mac: Mac): Promise<void> {
  if (!(await mac.cache.has(digest))) await pull(mac);
  await tellPeer(mac, mac.port, [digest]);
}

async function certificate({ identity }: Mac, operationId: string | undefined): Promise<string> {
  const link = await hub.link(identity);
  const body = Buffer.from(JSON.stringify({ operationId }));
  const headers = { "content-type": "application/json" };
  const answer = await link.send({ method: "POST", path: "/host/v1/peers", body, headers, authorised: true });
  return PeerAnswer.parse(await jsonOf(answer)).certificate;
}

const pem = ({ identity }: Mac): string =>
  createPrivateKey({ key: { ...identity.privateKey }, format: "jwk" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();

/** The status that the peer port answers, or what becomes of the connection. */
function rowsFrom({ port, identity }: Mac, tls: Pick<RequestOptions, "key" | "cert">): Promise<number | string> {
  return new Promise((resolve) => {
    const path = `/peer/v1/images/${digest}`;
    const options = { host: "127.0.0.1", port, path, ca: identity.authority, checkServerIdentity: () => undefined, agent: false, ...tls };
    try {
      const sent = request(options as RequestOptions, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      sent.on("error", (error) => resolve(`${(error as NodeJS.ErrnoException).code} ${error.message}`));
      sent.end();
    } catch (error) {
      resolve(String(error));
    }
  });
}
