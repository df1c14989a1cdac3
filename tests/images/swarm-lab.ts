/** Hosts that pull one image at once into folders of their own, each of them a neighbour of the others, from a store whose bytes are counted. */
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { readChunks } from "../../images/chunks-here.ts";
import { rowFinder, rowSet, type Near, type Neighbour, type Own } from "../../images/near.ts";
import { pullTree, type PullResult } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import type { ImageRef } from "../../images/stored.ts";
import type { Tree } from "../../images/tree.ts";
import { memoryStore } from "../../stores/memory.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import { makeDisk } from "./samples.ts";

export interface Swarm {
  readonly image: ImageRef;
  readonly bundlePath: string;
  readonly storedBytes: number;
  /** Bytes that left the store so far. */
  sent(): number;
  /** Pulls as the host of this name, among all that pull or have pulled. */
  pull(name: string, more?: readonly Neighbour[]): Promise<Pulled>;
  /** The host is gone in this moment: its transfer ends, and nobody gets an answer any more. */
  kill(name: string): void;
  /** From now on each answer with chunks takes the host so long. */
  slow(name: string, ms: number): void;
}

export interface Pulled extends PullResult {
  readonly bundle: string;
}

/** `bytesPerSecond`: what the store sends to all together. */
export async function openSwarm(folder: string, { bytes, bytesPerSecond }: { bytes: number; bytesPerSecond?: number }): Promise<Swarm> {
  const bundlePath = join(folder, "golden");
  makeDisk(bundlePath, "swarm", bytes);
  const whole = memoryStore();
  const signal = new AbortController().signal;
  const ask = { bundlePath, store: whole, bases: [], journalPath: join(folder, "journal"), generation: 1, signal };
  const { digest } = await pushBundle(ask);
  const line = counted(bytesPerSecond ?? Infinity);
  const store = line.through(whole);
  const hosts = new Map<string, Host>();
  const hostOf = (name: string): Host => {
    const host = hosts.get(name) ?? { bundle: join(folder, name, "bundle"), gone: new AbortController(), delayMs: 0 };
    hosts.set(name, host);
    return host;
  };
  return {
    image: { digest, generation: 1 },
    bundlePath,
    storedBytes: bytes,
    sent: line.sent,
    pull: async (name, more = []) => {
      const own = hostOf(name);
      const near: Near = {
        id: name,
        neighbours: () => [...[...hosts].flatMap(([id, host]) => (id === name ? [] : [neighbour(id, host)])), ...more],
        begin: (tree, fetching) => void Object.assign(own, { tree, fetching }),
      };
      const pull = { digest, generation: 1, store, targetPath: join(folder, name), seeds: [], signal: own.gone.signal, near };
      return { ...(await pullTree({ ...pull, parallel: 4, threads: 1 })), bundle: own.bundle };
    },
    kill: (name) => hostOf(name).gone.abort(),
    slow: (name, ms) => void (hostOf(name).delayMs = ms),
  };
}

interface Host {
  readonly bundle: string;
  readonly gone: AbortController;
  delayMs: number;
  tree?: Tree;
  fetching?: Own;
}

function neighbour(id: string, host: Host): Neighbour {
  return {
    id,
    rows: async () => {
      host.gone.signal.throwIfAborted();
      if (!host.fetching) return "none";
      const { rows, taking } = host.fetching;
      // As they were when they were told: later ones are not known.
      return { rows: rowSet(rows.rows, rows.bits.slice()), taking: [...taking] };
    },
    read: async (rows, signal) => {
      host.gone.signal.throwIfAborted();
      await after(host.delayMs, undefined, { signal });
      const finder = host.tree && rowFinder(host.tree);
      const read = await readChunks(
        host.bundle,
        rows.map((row) => finder?.find(row) ?? null),
      );
      return { lengths: read.lengths, body: Uint8Array.from(Buffer.concat(read.body)) };
    },
  };
}

/** One line out of the store for all: each read waits for those before it. */
export function counted(bytesPerSecond: number) {
  let bytes = 0;
  let freeAt = performance.now();
  const through = (store: Pick<ObjectStore, "read">): Pick<ObjectStore, "read"> => ({
    read: async (key, range, signal) => {
      // Trees and locations are read whole, and are next to nothing.
      const length = range?.lengthBytes ?? 0;
      bytes += length;
      freeAt = Math.max(freeAt, performance.now()) + (length * 1000) / bytesPerSecond;
      await after(Math.max(0, freeAt - performance.now()), undefined, { signal });
      return store.read(key, range, signal);
    },
  });
  return { through, sent: () => bytes };
}
