/**
 * The stores that steps work on: real ones, and a line that takes bytes at a fixed rate and forgets them.
 *
 * A server on this computer takes the very cores that compress; only a store without any work shows whether the line is ever idle while they work.
 */
import type { StoreCredentials } from "../domain/catalog/store-credentials.ts";
import type { StoreLocation } from "../domain/catalog/store-location.ts";
import { openLine } from "../images/line.ts";
import type { ObjectStore } from "../stores/object-store.ts";
import { openStore } from "../stores/open.ts";

export interface RealStoreAt {
  readonly location: StoreLocation;
  readonly credentials: StoreCredentials | null;
}

export type StoreAt = RealStoreAt | { readonly bytesPerSecond: number };

export const realStore = ({ location, credentials }: RealStoreAt): ObjectStore => openStore(location, credentials);

export const storeToPushTo = (at: StoreAt): Pick<ObjectStore, "read" | "write" | "size"> =>
  "location" in at ? realStore(at) : lineStore(at.bytesPerSecond);

/** The packs on a line travel side by side in slices: each sees its share of the rate, as connections do. */
const sliceBytes = 256 * 1024;

function lineStore(bytesPerSecond: number): Pick<ObjectStore, "read" | "write" | "size"> {
  const line = openLine(bytesPerSecond);
  return {
    read: async (key) => {
      throw new Error(`The line keeps nothing, and so not ${key}.`);
    },
    size: async () => null,
    write: async (_key, body, _sha256, signal) => {
      for (let sent = 0; sent < body.byteLength; sent += sliceBytes) await line.take(Math.min(sliceBytes, body.byteLength - sent), signal);
      await line.take(0, signal);
      return "written";
    },
  };
}
