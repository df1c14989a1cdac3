/**
 * How this hub opens stores, and its configured one as a row.
 *
 * The one idea: the configuration names the default store at each start; the row keeps what versions already point to, so naming another store later
 * moves nothing.
 */
import { randomUUID } from "node:crypto";
import type { Database } from "../db/connect.ts";
import { ensureStore, findStoreAt, listStores, makeConfigured, markStore, sealedCredentials } from "../db/stores.ts";
import type { Store } from "../domain/catalog/schema.ts";
import { mayWriteTo } from "../domain/catalog/publishing.ts";
import { StoreCredentials } from "../domain/catalog/store-credentials.ts";
import { formatStoreLocation, parseStoreLocation } from "../domain/catalog/store-location.ts";
import type { Config } from "../domain/config/schema.ts";
import { factsOf, FaultError, unwrap, type Fault } from "../domain/errors.ts";
import { credentialsContext, stateShownBy, type OpenStores, type StorePorts } from "../gateway/stores.ts";
import { readImage } from "../images/stored.ts";
import type { Sealer } from "../security/sealing.ts";
import { claimStore, identityKey } from "../stores/identity.ts";
import type { ObjectStore } from "../stores/object-store.ts";
import { openStore } from "../stores/open.ts";
import { readOnlyStore } from "../stores/read-only.ts";

export const storePorts: StorePorts = {
  open: (location, credentials, { readOnly }) => {
    const store = openStore(unwrap(parseStoreLocation(location)), credentials === null ? null : StoreCredentials.parse(credentials));
    return readOnly ? readOnlyStore(store) : store;
  },
  packsOf: async (store, tree, signal) => (await readImage(store, tree, signal)).locations.packs.map(({ sha256 }) => sha256),
};

export interface NewStore {
  readonly name: string;
  readonly location: string;
  readonly credentials: StoreCredentials | null;
  /** Somebody else's: read, and not made ours. */
  readonly readOnly?: boolean;
}
export interface StoreKeeper {
  readonly db: Database;
  readonly sealer: Sealer;
  readonly hubId: string;
}

/** The credentials that a store's row keeps; null where it needs none. */
export async function keptCredentials({ db, sealer }: Pick<StoreKeeper, "db" | "sealer">, id: string): Promise<StoreCredentials | null> {
  const sealed = await sealedCredentials(db, id);
  return sealed && StoreCredentials.parse(await sealer.open(sealed, credentialsContext(id)));
}

/** Registers a store once it answered and is ours, or can be read where it is to be only that; asked again, it renews the credentials. */
export async function addStore(keeper: StoreKeeper, store: NewStore, signal: AbortSignal): Promise<Store> {
  const opened = openStore(unwrap(parseStoreLocation(store.location)), store.credentials);
  if (store.readOnly === true) await mustBeReadable(opened, signal);
  else await claimStore(opened, keeper.hubId, signal);
  return keepRow(keeper, store);
}

/** It lists what it holds, and gives the first of it. An empty one passes: there is nothing yet that it could refuse. */
export async function mustBeReadable(store: Pick<ObjectStore, "list" | "read">, signal: AbortSignal): Promise<void> {
  for await (const { key, bytes } of store.list("")) {
    signal.throwIfAborted();
    if (bytes === 0) continue;
    return (await store.read(key, { offsetBytes: 0, lengthBytes: 1 }, signal)).cancel();
  }
}

/**
 * Makes the configured store the default one, where the configuration names another than at the last start. One that is away may come back, so it is only told; one of another hub is refused. Configured credentials
 * that it refuses do not replace those that it takes: they were renewed meanwhile, and the variables were forgotten.
 */
export async function keepDefaultStore(
  keeper: StoreKeeper,
  { store }: Config,
  signal: AbortSignal,
): Promise<Store & { problem: Fault | null }> {
  const { location } = store;
  const known = await findStoreAt(keeper.db, formatStoreLocation(unwrap(parseStoreLocation(location))));
  if (known) unwrap(mayWriteTo(known));
  const credentials = credentialsOf(store);
  const refusal = await claimed(keeper, { location, credentials }, signal);
  const renewed = refusal?.code === "store_denied" ? await credentialsKeptAt(keeper, location) : null;
  const problem = renewed ? await claimed(keeper, { location, credentials: renewed }, signal) : refusal;
  const wanted = { name: `default-${randomUUID().slice(0, 8)}`, location, credentials: renewed && !problem ? null : credentials };
  const kept = await makeConfigured(keeper.db, (await keepRow(keeper, wanted)).id);
  if (!problem) return { ...kept, problem };
  const state = problem.code === "store_denied" ? "denied" : "unavailable";
  await markStore(keeper.db, kept.id, state);
  return { ...kept, state, problem };
}

type Opened = Pick<NewStore, "location" | "credentials">;

/** Null when the store is ours; what may be mended is answered, what may not is thrown. */
async function claimed({ hubId }: StoreKeeper, { location, credentials }: Opened, signal: AbortSignal): Promise<Fault | null> {
  try {
    await claimStore(openStore(unwrap(parseStoreLocation(location)), credentials), hubId, signal);
    return null;
  } catch (error) {
    if (!(error instanceof FaultError) || !factsOf(error.fault.code).parks) throw error;
    return error.fault;
  }
}

async function credentialsKeptAt(keeper: StoreKeeper, location: string): Promise<StoreCredentials | null> {
  const known = await findStoreAt(keeper.db, formatStoreLocation(unwrap(parseStoreLocation(location))));
  return known && keptCredentials(keeper, known.id);
}

/** Asks each store for its identity. What it answers, the row tells: transfers by presigned requests pass us by, and an idle store would stay as it was. */
export async function checkStores(db: Database, stores: OpenStores): Promise<void> {
  const asked = (await listStores(db)).map(async ({ id }) => (await stores.open(id)).size(identityKey));
  for (const answer of await Promise.allSettled(asked))
    if (answer.status === "rejected" && stateShownBy(answer.reason) === null) throw answer.reason;
}

async function keepRow({ db, sealer }: StoreKeeper, { name, location, credentials, readOnly = false }: NewStore): Promise<Store> {
  const where = unwrap(parseStoreLocation(location));
  const normal = formatStoreLocation(where);
  const id = (await findStoreAt(db, normal))?.id ?? randomUUID();
  const sealed = credentials && (await sealer.seal(credentials, credentialsContext(id)));
  return ensureStore(db, { id, name, kind: where.kind, location: normal, sealed, readOnly });
}

/** Variables for another store may be left over: a folder takes none. */
function credentialsOf({ location, credentials, accessKey, secretKey, sessionToken }: Config["store"]): StoreCredentials | null {
  if (location.startsWith("folder:")) return null;
  if (credentials !== undefined) return credentials;
  if (accessKey === undefined || secretKey === undefined) return null;
  return { accessKeyId: accessKey, secretAccessKey: secretKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}
