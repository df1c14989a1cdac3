/**
 * A store in memory: part of the port, for tests and for trying the engine without a disk.
 *
 * It keeps the promises of the port and nothing more, so that the contract suite, not this file, is the definition of a store.
 */
import { createHash } from "node:crypto";
import { checksumRefused, endsBefore, objectMissing } from "./faults.ts";
import { checkKey, type ObjectStore } from "./object-store.ts";

/** `objects` may be shared with a test that wants to look at, or to break, what is stored. */
export function memoryStore(objects = new Map<string, Uint8Array>()): ObjectStore {
  const writtenAt = new Map<string, Date>();
  const opened = new Date();
  return {
    read: async (key, range, signal) => {
      signal.throwIfAborted();
      const body = objects.get(checkKey(key));
      if (!body) throw objectMissing(key);
      if (range && range.offsetBytes >= body.byteLength) throw endsBefore(key, range.offsetBytes);
      const part = range ? body.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes) : body;
      return new Blob([Uint8Array.from(part)]).stream();
    },

    write: async (key, body, sha256, signal) => {
      signal.throwIfAborted();
      if (createHash("sha256").update(body).digest("hex") !== sha256) throw checksumRefused(key);
      if (objects.has(checkKey(key))) return "present";
      objects.set(key, Uint8Array.from(body));
      writtenAt.set(key, new Date());
      return "written";
    },

    size: async (key) => objects.get(checkKey(key))?.byteLength ?? null,

    async *list(prefix) {
      for (const [key, body] of objects)
        if (key.startsWith(prefix)) yield { key, bytes: body.byteLength, modifiedAt: writtenAt.get(key) ?? opened };
    },

    remove: async (key) => void objects.delete(checkKey(key)),
  };
}
