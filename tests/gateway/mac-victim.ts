/** A host in a process of its own, to be killed: it opens its peer port, pulls one image beside its peers, and says a letter per step. */
import { pino } from "pino";
import { grantedStore } from "../../activities/host/granted-store.ts";
import { openHubLink, readIdentity } from "../../activities/host/hub-link.ts";
import { openPeers } from "../../activities/host/peers.ts";
import { openPins } from "../../activities/host/pins.ts";
import { openUses } from "../../images/cache-uses.ts";
import { openCache } from "../../images/cache.ts";
import { pullTree } from "../../images/pull.ts";
import { counted } from "../images/swarm-lab.ts";

export interface MacOrder {
  readonly identity: string;
  readonly folder: string;
  readonly port: number;
  readonly digest: string;
  readonly operationId: string;
  readonly bytesPerSecond: number;
}

const { folder, port, digest, operationId, bytesPerSecond, ...order } = JSON.parse(process.argv[2] ?? "{}") as MacOrder;
const { signal } = new AbortController();
const identity = await readIdentity(order.identity);
const link = await openHubLink(identity, { log: pino({ level: "silent" }) });
const cache = openCache(folder);
const address = { host: "127.0.0.1", port, network: "test" };
const onError = (error: unknown) => void process.stderr.write(`${String(error)}\n`);
const peers = await openPeers({ identity, link, address, shared: { cache, pins: openPins(await openUses(cache.root)) }, onError });
const near = await peers.near({ digest, operationId: () => operationId, signal });
const store = counted(bytesPerSecond).through(grantedStore(link, operationId, signal));
const targetPath = cache.incoming(digest).folder;
const onProgress = () => void process.stdout.write(".");
await pullTree({ digest, generation: 1, store, targetPath, seeds: [], signal, near, threads: 1, onProgress });
process.exit(0);
