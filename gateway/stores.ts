/**
 * What the gateway asks of stores, and the stores that it has open.
 *
 * The one idea: a store is opened once per row and set of credentials; credentials that were renewed open it anew. What a store answers on the way, its
 * row tells.
 */
import { createHash } from "node:crypto";
import type { Database } from "../db/connect.ts";
import { findStore, markStore, sealedCredentials } from "../db/stores.ts";
import type { Store } from "../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../domain/errors.ts";
import type { Sealer } from "../security/sealing.ts";

/** The part of the store port that the gateway uses. */
export interface GatewayStore {
  read(key: string, range: { offsetBytes: number; lengthBytes: number } | null, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  write(key: string, body: Uint8Array, sha256: string, signal: AbortSignal): Promise<"written" | "present">;
  size(key: string): Promise<number | null>;
  list(prefix: string): AsyncIterable<{ readonly key: string; readonly bytes: number; readonly modifiedAt: Date }>;
  remove(key: string): Promise<void>;
  readonly presign?: (
    ask: { method: "GET"; key: string; ttlSeconds: number } | { method: "PUT"; key: string; sha256: string; ttlSeconds: number },
  ) => Promise<{ method: "GET" | "PUT"; url: string; headers: Readonly<Record<string, string>>; expiresAt: Date } | null>;
  readonly authority?: string | undefined;
}

export interface TreeRef {
  readonly digest: string;
  readonly generation: number;
}

/** Given by the composition root, which knows providers and formats. */
export interface StorePorts {
  open(location: string, credentials: unknown, how: { readonly readOnly: boolean }): GatewayStore;
  /** The SHA-256 of each pack that a tree's locations name. */
  packsOf(store: GatewayStore, tree: TreeRef, signal: AbortSignal): Promise<string[]>;
}

export interface OpenStores {
  open(storeId: string): Promise<GatewayStore>;
  /** `again`: asks the store even if it is known, for whoever wants a pack that was not among them. */
  packsOf(storeId: string, tree: TreeRef, signal: AbortSignal, again?: boolean): Promise<ReadonlySet<string>>;
}

/** The context that the credentials of a store are sealed under. */
export const credentialsContext = (storeId: string): string => `store:${storeId}`;

/** Trees whose packs are kept in memory: 64 bytes per pack of 4 MiB, so 32 of 100 GB each are 50 MB. */
const keptTrees = 32;

export function openStores({ db, sealer, ports }: { db: Database; sealer: Sealer; ports: StorePorts }): OpenStores {
  const stores = new Map<string, { mark: string; store: GatewayStore; seen: { state: Store["state"] } }>();
  const packs = new Map<string, Promise<ReadonlySet<string>>>();

  const open = async (storeId: string) => {
    const { location, state, readOnly } = unwrap(await findStore(db, storeId));
    const sealed = await sealedCredentials(db, storeId);
    const mark = createHash("sha256")
      .update(`${location}\0${readOnly}\0`)
      .update(sealed ?? "")
      .digest("hex");
    const known = stores.get(storeId);
    if (known?.mark === mark) {
      known.seen.state = state;
      return known.store;
    }
    const seen = { state };
    const opened = ports.open(location, sealed && (await sealer.open(sealed, credentialsContext(storeId))), { readOnly });
    const store = watched(opened, async (now) => {
      if (now === seen.state) return;
      seen.state = now;
      await markStore(db, storeId, now);
    });
    stores.set(storeId, { mark, store, seen });
    return store;
  };
  const packsOf: OpenStores["packsOf"] = (storeId, tree, signal, again = false) => {
    const name = `${storeId}/${tree.digest}/${tree.generation}`;
    const known = packs.get(name);
    if (known && !again) return known;
    const found = open(storeId).then(async (store) => new Set(await ports.packsOf(store, tree, signal)));
    packs.set(name, found);
    found.catch(() => packs.delete(name));
    const [oldest] = packs.keys();
    if (packs.size > keptTrees && oldest !== undefined) packs.delete(oldest);
    return found;
  };
  return { open, packsOf };
}

/** What a store's answer says of it; null where it says nothing. */
export function stateShownBy(error: unknown): Store["state"] | null {
  if (!(error instanceof FaultError)) return null;
  if (error.fault.code === "store_denied") return "denied";
  return error.fault.code === "store_unavailable" ? "unavailable" : null;
}

function watched(store: GatewayStore, tell: (state: Store["state"]) => Promise<void>): GatewayStore {
  // The row is for people: a transfer neither waits for it for long nor fails by it.
  const told = (state: Store["state"] | null) => (state === null ? undefined : tell(state).catch(() => undefined));
  const seen = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      const value = await answer;
      await told("ready");
      return value;
    } catch (error) {
      await told(stateShownBy(error));
      throw error;
    }
  };
  const { presign, authority } = store;
  return {
    read: (key, range, signal) => seen(store.read(key, range, signal)),
    write: (key, body, sha256, signal) => seen(store.write(key, body, sha256, signal)),
    size: (key) => seen(store.size(key)),
    list: (prefix) => store.list(prefix),
    remove: (key) => seen(store.remove(key)),
    ...(presign ? { presign: (ask) => presign(ask) } : {}),
    authority,
  };
}
