/**
 * A store of somebody else's: read as any, and never written to.
 *
 * The one idea: what would write is refused here too, beneath all that asks first, so that no mistake above can leave a trace in another's catalog.
 */
import { FaultError } from "../domain/errors.ts";
import type { ObjectStore } from "./object-store.ts";

export function readOnlyStore(store: ObjectStore): ObjectStore {
  const { read, size, list, presign, authority } = store;
  return {
    read,
    size,
    list,
    write: async (key) => Promise.reject(refused(key)),
    remove: async (key) => Promise.reject(refused(key)),
    ...(presign ? { presign: async (ask) => (ask.method === "GET" ? presign(ask) : Promise.reject(refused(ask.key))) } : {}),
    authority,
  };
}

const refused = (key: string) =>
  new FaultError({ code: "store_read_only", message: `The store is read-only: ${key} is neither written nor removed.`, subject: key });
