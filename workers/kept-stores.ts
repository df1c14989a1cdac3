/**
 * Stores as the API changes them: each is asked first with what it is to be reached by, so what is kept has worked.
 *
 * The one idea: a store stays the place that its images lie in. How it is reached may change, and only to where this hub's own identity is found.
 */
import type { Stores } from "../api/ports.ts";
import { changeStore, dropStore, findStore, findStoreAt, makeDefault } from "../db/stores.ts";
import { mayWriteTo } from "../domain/catalog/publishing.ts";
import { credentialsFor, type StoreCredentials } from "../domain/catalog/store-credentials.ts";
import { formatStoreLocation, parseStoreLocation, placeOf, type StoreLocation } from "../domain/catalog/store-location.ts";
import type { Store } from "../domain/catalog/schema.ts";
import { FaultError, ok, refuse, unwrap, type Result } from "../domain/errors.ts";
import { withoutAbsent } from "../domain/fields.ts";
import { credentialsContext } from "../gateway/stores.ts";
import { claimStore, readIdentity } from "../stores/identity.ts";
import { openStore } from "../stores/open.ts";
import { readOnlyStore } from "../stores/read-only.ts";
import { tryStore } from "../stores/trial.ts";
import { addStore, keptCredentials, mustBeReadable, type NewStore, type StoreKeeper } from "./stores.ts";

/** A store answers within seconds or is away. */
const reachMs = 20_000;

/** A store that is known is found by anyone who may push; a new one is made known by a super user only, since a folder is a place on the hub's own disk. */
export function keptStores(keeper: StoreKeeper): Stores {
  const { db } = keeper;
  return {
    add: (wanted, actor) => add(keeper, wanted, actor),
    change: (idOrName, wanted) => change(keeper, idOrName, wanted),
    makeDefault: async (idOrName) => {
      const found = await findStore(db, idOrName);
      const writable = found.ok ? mayWriteTo(found.value) : found;
      if (!writable.ok) return writable;
      await makeDefault(db, writable.value.id);
      return findStore(db, writable.value.id);
    },
    remove: async (idOrName) => {
      const found = await findStore(db, idOrName);
      return found.ok ? dropStore(db, found.value.id) : found;
    },
    test: async (idOrName, signal) => {
      const { id, location, readOnly } = unwrap(await findStore(db, idOrName));
      const store = openStore(unwrap(parseStoreLocation(location)), await keptCredentials(keeper, id));
      return tryStore(readOnly ? readOnlyStore(store) : store, keeper.hubId, signal, { readOnly });
    },
  };
}

async function add(
  keeper: StoreKeeper,
  { name, location, credentials = null, readOnly }: Parameters<Stores["add"]>[0],
  actor: Parameters<Stores["add"]>[1],
): Promise<Result<Store>> {
  const parsed = parseStoreLocation(location);
  if (!parsed.ok) return parsed;
  const normal = formatStoreLocation(parsed.value);
  const known = await findStoreAt(keeper.db, normal);
  if (known && !actor.isSuperUser) return ok(known);
  if (!actor.isSuperUser) return refuse({ code: "forbidden", message: `Only a super user adds the store ${normal}.`, subject: normal });
  const fitting = credentialsFor(parsed.value.kind, credentials);
  if (!fitting.ok) return fitting;
  const wanted = {
    name: name ?? known?.name ?? `store-${crypto.randomUUID().slice(0, 8)}`,
    location: normal,
    credentials: fitting.value,
    // What is only to be read stays so until an operator says otherwise.
    readOnly: known?.readOnly ?? readOnly === true,
  };
  const added = addStore(keeper, wanted, AbortSignal.timeout(reachMs));
  if (readOnly !== "where refused" || known) return ok(await added);
  return ok(await added.catch((error: unknown) => onlyRead(keeper, wanted, error)));
}

async function change(
  keeper: StoreKeeper,
  idOrName: string,
  { name, location, credentials, ...rest }: Parameters<Stores["change"]>[1],
): Promise<Result<Store>> {
  const found = await findStore(keeper.db, idOrName);
  if (!found.ok) return found;
  const { id } = found.value;
  const reached = await reachedBy(keeper, found.value, { location, credentials, readOnly: rest.readOnly });
  if (!reached.ok) return reached;
  const sealed = credentials === undefined ? undefined : await keeper.sealer.seal(credentials, credentialsContext(id));
  const told = withoutAbsent({ name, sealed, ...rest });
  return changeStore(keeper.db, id, { ...told, location: formatStoreLocation(reached.value.location) }, reached.value.answered);
}

/** A catalog that may not be written to, or is another hub's, is read all the same. */
const onlyToRead: ReadonlySet<string> = new Set(["store_denied", "store_foreign"]);
async function onlyRead(keeper: StoreKeeper, wanted: NewStore, error: unknown): Promise<Store> {
  if (!(error instanceof FaultError) || !onlyToRead.has(error.fault.code)) throw error;
  return addStore(keeper, { ...wanted, readOnly: true }, AbortSignal.timeout(reachMs));
}

interface Reach {
  readonly location: string | undefined;
  readonly credentials: StoreCredentials | undefined;
  readonly readOnly: boolean | undefined;
}

/** Where the store is after the change, and whether it was asked; refused where it is not found there, or the credentials do not fit. */
async function reachedBy(
  keeper: StoreKeeper,
  store: Store,
  { location, credentials, readOnly = store.readOnly }: Reach,
): Promise<Result<{ location: StoreLocation; answered: boolean }>> {
  const [old, wanted] = [parseStoreLocation(store.location), parseStoreLocation(location ?? store.location)];
  if (!old.ok) return old;
  if (!wanted.ok) return wanted;
  if (location === undefined && credentials === undefined && readOnly === store.readOnly)
    return ok({ location: wanted.value, answered: false });
  if (placeOf(old.value) !== placeOf(wanted.value)) {
    const message = `The store ${store.name} is ${placeOf(old.value)}, where its images lie; ${placeOf(wanted.value)} is another store.`;
    return refuse({ code: "store_invalid", message, subject: store.name });
  }
  const fitting = credentialsFor(wanted.value.kind, credentials ?? (await keptCredentials(keeper, store.id)));
  if (!fitting.ok) return fitting;
  if (readOnly && store.isDefault)
    return refuse({
      code: "store_in_use",
      message: `The store ${store.name} is the default store, which takes pushes.`,
      subject: store.name,
    });
  const reached = ok({ location: wanted.value, answered: true });
  const opened = openStore(wanted.value, fitting.value);
  const signal = AbortSignal.timeout(reachMs);
  if (readOnly) return mustBeReadable(opened, signal).then(() => reached);
  if (store.readOnly) return claimStore(opened, keeper.hubId, signal).then(() => reached);
  const identity = await readIdentity(opened, signal);
  if (identity?.hubId === keeper.hubId) return reached;
  const message = `What is found there is not the store ${store.name}: ${identity ? "it belongs to another hub" : "store.json is missing"}.`;
  throw new FaultError({ code: identity ? "store_foreign" : "store_invalid", message, subject: store.name });
}
