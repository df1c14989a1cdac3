/**
 * Fills packs with chunks that are compressed already, one pack at a time: for what moves or heals chunks inside a store, where order matters more than speed.
 *
 * The same chunks in the same order make the same packs, so whoever is killed and begins again writes nothing twice.
 */
import type { ObjectStore } from "../stores/object-store.ts";
import { chunkBytes, packBytes, packKey, sha256Hex } from "./format.ts";
import type { PackRef } from "./locations.ts";

export interface Moved {
  readonly pack: PackRef;
  readonly offset: number;
  readonly length: number;
}

export interface PackWriter {
  add(body: Uint8Array): Promise<{ packNumber: number; offset: number; length: number }>;
  /** Writes what is left; answers all packs by their numbers. */
  finish(): Promise<PackRef[]>;
}

/** `avoid`: names under which the store has broken bytes; a pack that would get one of them gets another byte at its end, which no chunk lies in. */
export function openPackWriter(store: Pick<ObjectStore, "write">, signal: AbortSignal, avoid: ReadonlySet<string> = new Set()): PackWriter {
  const memory = Buffer.allocUnsafeSlow(packBytes + chunkBytes + 1);
  const packs: PackRef[] = [];
  let used = 0;
  const send = async () => {
    const plain = memory.subarray(0, used);
    const body = avoid.has(sha256Hex(plain)) ? memory.subarray(0, used + 1).fill(0, used) : plain;
    const pack = { sha256: sha256Hex(body), bytes: body.byteLength };
    await store.write(packKey(pack.sha256), body, pack.sha256, signal);
    packs.push(pack);
    used = 0;
  };
  return {
    add: async (body) => {
      signal.throwIfAborted();
      const place = { packNumber: packs.length, offset: used, length: body.byteLength };
      memory.set(body, used);
      used += body.byteLength;
      if (used >= packBytes) await send();
      return place;
    },
    finish: async () => {
      if (used > 0) await send();
      return packs;
    },
  };
}
