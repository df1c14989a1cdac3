/** Hosts of one network with their peer ports open, enrolled at a hub of the gateway's tests, and an image in its store that they all may have. */
import { createPrivateKey, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eq } from "drizzle-orm";
import { grantedStore } from "../../activities/host/granted-store.ts";
import type { HostIdentity } from "../../activities/host/hub-link.ts";
import { openPeers, type Peers } from "../../activities/host/peers.ts";
import { openPins } from "../../activities/host/pins.ts";
import { openUses } from "../../images/cache-uses.ts";
import { hosts, operations, stores } from "../../db/schema.ts";
import { freePort } from "../../deploy/ports.ts";
import { openCache, type Cache } from "../../images/cache.ts";
import { pullTree, type PullResult } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { folderStore } from "../../stores/folder.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import { makeDisk } from "../images/samples.ts";
import { hostFacts, startHub, type Hub } from "./hub.ts";

export interface Mac {
  readonly identity: HostIdentity;
  readonly cache: Cache;
  readonly peers: Peers;
  readonly port: number;
}

export interface Fleet {
  readonly hub: Hub;
  readonly macs: readonly Mac[];
  readonly digest: string;
  /** The bundle that was pushed. */
  readonly bundlePath: string;
  /** As the host's next inventory would tell. */
  tell(mac: Pick<Mac, "identity">, port: number, cached: readonly string[]): Promise<void>;
  operation(mac: Pick<Mac, "identity">, digest: string): Promise<string>;
  /** `alone`: without its neighbours. */
  pull(mac: Mac, how?: { readonly through?: (store: Reads) => Reads; readonly alone?: boolean }): Promise<PullResult>;
  close(): Promise<void>;
}

type Reads = Pick<ObjectStore, "read">;
const signal = new AbortController().signal;

export async function openFleet(names: readonly string[], bytes: number): Promise<Fleet> {
  const hub = await startHub();
  const folder = await mkdtemp(join(tmpdir(), "drover-peers-"));
  const storeId = randomUUID();
  const location = join(folder, "store");
  await hub.db.insert(stores).values({ id: storeId, name: "folder", kind: "folder", location: `folder:${location}` });
  const bundlePath = join(folder, "golden");
  makeDisk(bundlePath, "peers", bytes);
  const ask = { bundlePath, store: folderStore(location), bases: [], journalPath: join(folder, "journal"), generation: 1, signal };
  const { digest } = await pushBundle(ask);

  const tell: Fleet["tell"] = async ({ identity }, port, cached) => {
    const facts = { ...hostFacts(), peer: { host: "127.0.0.1", port, network: "test" } };
    const images = cached.map((one) => ({ digest: one, bytes: 1, lastUsedAt: new Date().toISOString() }));
    await hub.db.update(hosts).set({ facts, cached: images, lastReportAt: new Date() }).where(eq(hosts.id, identity.hostId));
  };
  const operation: Fleet["operation"] = async ({ identity: { hostId } }, chosen) => {
    const id = randomUUID();
    const input = { chosen: { storeId, digest: chosen, generation: 1 } };
    const common = { subject: "image", actor: "root", actorId: "root", onFault: "fail" as const, workflowId: `pull/x/${id}` };
    await hub.db.insert(operations).values({ id, verb: "pull", state: "running", hostId, input, ...common });
    return id;
  };
  const pull: Fleet["pull"] = async (mac, { through = (store: Reads): Reads => store, alone = false } = {}) => {
    const operationId = await operation(mac, digest);
    const ended = new AbortController();
    const near = alone ? {} : { near: await mac.peers.near({ digest, operationId: () => operationId, signal: ended.signal }) };
    const store = through(grantedStore(await hub.link(mac.identity), operationId, signal));
    const targetPath = mac.cache.incoming(digest).folder;
    const pulled = await pullTree({ digest, generation: 1, store, targetPath, seeds: [], signal, ...near, threads: 1 });
    ended.abort();
    await mac.cache.reveal(digest);
    await hub.db.update(operations).set({ state: "done" }).where(eq(operations.id, operationId));
    await tell(mac, mac.port, [digest]);
    return pulled;
  };
  const macs: Mac[] = [];
  for (const name of names) {
    const mac = await openMac(hub, join(folder, name), name);
    await tell(mac, mac.port, []);
    macs.push(mac);
  }
  // A host that falls silent is nobody's neighbour.
  const reports = setInterval(
    () =>
      void hub.db
        .update(hosts)
        .set({ lastReportAt: new Date() })
        .execute()
        .catch(() => {}),
    2_000,
  );
  const close = async () => {
    clearInterval(reports);
    await Promise.all(macs.map(({ peers }) => peers.close()));
    await hub.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { hub, macs, digest, bundlePath, tell, operation, pull, close };
}

async function openMac(hub: Hub, folder: string, name: string): Promise<Mac> {
  const identity = await hub.enrol(name);
  const link = await hub.link(identity);
  const cache = openCache(folder);
  const port = await freePort();
  const address = { host: "127.0.0.1", port, network: "test" };
  const onError = (error: unknown) => void process.stderr.write(`${name}: ${String(error)}\n`);
  return {
    identity,
    cache,
    peers: await openPeers({ identity, link, address, shared: { cache, pins: openPins(await openUses(cache.root)) }, onError }),
    port,
  };
}

/** The host's own key as its TLS uses it. */
export const pem = ({ identity }: Pick<Mac, "identity">): string =>
  createPrivateKey({ key: { ...identity.privateKey }, format: "jwk" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();
