/**
 * Stores as the API changes them: each is asked first with what it is to be reached by, so what is kept has worked.
 *
 * The one idea: a store stays the place that its images lie in. How it is reached may change, and only to where this hub's own identity is found.
 */
import type { Stores } from "../api/ports.ts";
import { changeStore, dropStore, findStore, findStoreAt, makeDefault } from "../db/stores.ts";
import { credentialsFor, type StoreCredentials } from "../domain/catalog/store-credentials.ts";
import { formatStoreLocation, parseStoreLocation, placeOf, type StoreLocation } from "../domain/catalog/store-location.ts";
import type { Store } from "../domain/catalog/schema.ts";
import { FaultError, ok, refuse, unwrap, type Result } from "../domain/errors.ts";
import { credentialsContext } from "../gateway/stores.ts";
import { readIdentity } from "../stores/identity.ts";
import { openStore } from "../stores/open.ts";
import { tryStore } from "../stores/trial.ts";
import { addStore, keptCredentials, type StoreKeeper } from "./stores.ts";

/** A store answers within seconds or is away. */
const reachMs = 20_000;

/** A store that is known is found by anyone who may push; a new one is made known by a super user only, since a folder is a place on the hub's own disk. */
export function keptStores(keeper: StoreKeeper): Stores {
  const { db } = keeper;
  return {
    add: async ({ name, location, credentials = null }, actor) => {
      const parsed = parseStoreLocation(location);
      if (!parsed.ok) return parsed;
      const normal = formatStoreLocation(parsed.value);
      const known = await findStoreAt(db, normal);
      if (known && !actor.isSuperUser) return ok(known);
      if (!actor.isSuperUser) return refuse({ code: "forbidden", message: `Only a super user adds the store ${normal}.`, subject: normal });
      const fitting = credentialsFor(parsed.value.kind, credentials);
      if (!fitting.ok) return fitting;
      const wanted = {
        name: name ?? known?.name ?? `store-${crypto.randomUUID().slice(0, 8)}`,
        location: normal,
        credentials: fitting.value,
      };
      return ok(await addStore(keeper, wanted, AbortSignal.timeout(reachMs)));
    },
    change: async (idOrName, { name, location, credentials }) => {
      const found = await findStore(db, idOrName);
      if (!found.ok) return found;
      const { id } = found.value;
      const reached = await reachedBy(keeper, found.value, { location, credentials });
      if (!reached.ok) return reached;
      const sealed = credentials === undefined ? undefined : await keeper.sealer.seal(credentials, credentialsContext(id));
      return changeStore(db, id, {
        location: formatStoreLocation(reached.value),
        ...(name === undefined ? {} : { name }),
        ...(sealed === undefined ? {} : { sealed }),
      });
    },
    makeDefault: async (idOrName) => {
      const found = await findStore(db, idOrName);
      if (!found.ok) return found;
      await makeDefault(db, found.value.id);
      return findStore(db, found.value.id);
    },
    remove: async (idOrName) => {
      const found = await findStore(db, idOrName);
      return found.ok ? dropStore(db, found.value.id) : found;
    },
    test: async (idOrName, signal) => {
      const { id, location } = unwrap(await findStore(db, idOrName));
      const store = openStore(unwrap(parseStoreLocation(location)), await keptCredentials(keeper, id));
      return tryStore(store, keeper.hubId, signal);
    },
  };
}

interface Reach {
  readonly location: string | undefined;
  readonly credentials: StoreCredentials | undefined;
}

/** Where the store is after the change; refused where it is not found there, or the credentials do not fit. */
async function reachedBy(keeper: StoreKeeper, store: Store, { location, credentials }: Reach): Promise<Result<StoreLocation>> {
  const [old, wanted] = [parseStoreLocation(store.location), parseStoreLocation(location ?? store.location)];
  if (!old.ok || !wanted.ok || (location === undefined && credentials === undefined)) return wanted;
  if (placeOf(old.value) !== placeOf(wanted.value)) {
    const message = `The store ${store.name} is ${placeOf(old.value)}, where its images lie; ${placeOf(wanted.value)} is another store.`;
    return refuse({ code: "store_invalid", message, subject: store.name });
  }
  const fitting = credentialsFor(wanted.value.kind, credentials ?? (await keptCredentials(keeper, store.id)));
  if (!fitting.ok) return fitting;
  const identity = await readIdentity(openStore(wanted.value, fitting.value), AbortSignal.timeout(reachMs));
  if (identity?.hubId === keeper.hubId) return wanted;
  const message = `What is found there is not the store ${store.name}: ${identity ? "it belongs to another hub" : "store.json is missing"}.`;
  throw new FaultError({ code: identity ? "store_foreign" : "store_invalid", message, subject: store.name });
}
