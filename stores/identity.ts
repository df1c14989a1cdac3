/**
 * Who a store belongs to: one object, `store.json`, written only where none is.
 *
 * The first hub that comes wins by the store's own write-if-absent; every later one reads who that was. A hub neither pushes to nor collects a store of another.
 */
import { createHash, randomUUID } from "node:crypto";
import { z } from "zod";
import { FaultError } from "../domain/errors.ts";
import { readAll, type ObjectStore } from "./object-store.ts";

export const identityKey = "store.json";

/** The version that this program writes, and the newest that it reads. */
const currentVersion = 1;

const StoreIdentity = z.object({ version: z.number().int().positive(), storeId: z.uuid(), hubId: z.string().min(1) });
export type StoreIdentity = z.infer<typeof StoreIdentity>;

/** Makes the store ours, or finds that it is; fails with `store_foreign` where another hub came first. Calling it again is safe. */
export async function claimStore(store: ObjectStore, hubId: string, signal: AbortSignal): Promise<StoreIdentity> {
  const found = await readIdentity(store, signal);
  if (found) return checkOwner(found, hubId);
  const body = Buffer.from(JSON.stringify({ version: currentVersion, storeId: randomUUID(), hubId } satisfies StoreIdentity));
  await store.write(identityKey, body, createHash("sha256").update(body).digest("hex"), signal);
  // Read back in any case: of two hubs that come at once, the store says which one won.
  const claimed = await readIdentity(store, signal);
  if (!claimed)
    throw new FaultError({ code: "store_unavailable", message: "The store does not answer the identity that was just written to it." });
  return checkOwner(claimed, hubId);
}

/** The identity of a store, or `null` when no hub has claimed it. */
export async function readIdentity(store: Pick<ObjectStore, "read" | "size">, signal: AbortSignal): Promise<StoreIdentity | null> {
  // A size first, since a missing object is the usual case on a new store and no fault. 64 KiB is ample for three fields.
  if ((await store.size(identityKey)) === null) return null;
  const text = (await readAll(await store.read(identityKey, null, signal), identityKey, 65_536)).toString("utf8");
  return parseIdentity(text);
}

function parseIdentity(text: string): StoreIdentity {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new FaultError(
      { code: "content_corrupt", message: "The store's identity (store.json) is not JSON.", subject: identityKey },
      { cause },
    );
  }
  const version = z.object({ version: z.number() }).safeParse(json);
  if (version.success && version.data.version > currentVersion) {
    const message = `The store's identity (store.json) has version ${version.data.version}; this program reads up to ${currentVersion}.`;
    throw new FaultError({ code: "format_unknown", message, subject: identityKey });
  }
  const parsed = StoreIdentity.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new FaultError({ code: "content_corrupt", message: "The store's identity (store.json) lacks its fields.", subject: identityKey });
}

function checkOwner(identity: StoreIdentity, hubId: string): StoreIdentity {
  if (identity.hubId === hubId) return identity;
  const message = `The store ${identity.storeId} belongs to the hub ${identity.hubId}, not to this one.`;
  throw new FaultError({ code: "store_foreign", message, subject: identity.storeId });
}
