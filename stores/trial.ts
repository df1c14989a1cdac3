/**
 * Tries every right that a transfer needs of a store, on objects of its own that it takes away again.
 *
 * The one idea: a policy is not read but tried, in the very way in which pushes, pulls and the collection will use it. A store that is only read is tried on what
 * lies in it, and nothing is tried that would leave a trace.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { FaultError } from "../domain/errors.ts";
import { storeRights, type StoreRight, type StoreTrial } from "../domain/catalog/store-trial.ts";
import { storeHttp, type StoreHttp } from "./http.ts";
import { readIdentity } from "./identity.ts";
import { readAll, type ObjectStore, type PresignedRequest, type StoredObject } from "./object-store.ts";

/** Beside the packs, where a policy for them holds too; whatever is left there is an abandoned trial's. */
const folder = ".drover/v1/trials/";
/** Large enough to travel in several pieces. */
const bytes = 200_000;
/** A trial is asked by somebody who waits. */
const silentMs = 20_000;

const unmet = (message: string) => new FaultError({ code: "store_invalid", message });

interface Ground {
  readonly store: ObjectStore;
  readonly hubId: string;
  readonly key: string;
  readonly body: Buffer;
  readonly http: StoreHttp;
  readonly signal: AbortSignal;
}

export async function* tryStore(
  store: ObjectStore,
  hubId: string,
  signal: AbortSignal,
  { readOnly = false } = {},
): AsyncIterable<StoreTrial> {
  const ground: Ground = { store, hubId, key: `${folder}${randomUUID()}`, body: randomBytes(bytes), http: storeHttp(silentMs), signal };
  const outcome = readOnly
    ? readingTrials(ground)
    : (right: StoreRight, failed: ReadonlySet<StoreRight>) => outcomeOf(right, ground, failed);
  const failed = new Set<StoreRight>();
  try {
    for (const right of storeRights) {
      const before = performance.now();
      const { state, message } = await outcome(right, failed);
      if (state === "failed") failed.add(right);
      yield { right, state, message, tookMs: Math.round(performance.now() - before) };
    }
  } finally {
    ground.http.close();
    if (!readOnly) for (const key of [ground.key, signedKey(ground), spoiledKey(ground)]) await store.remove(key).catch(() => undefined);
  }
}

type Outcome = Pick<StoreTrial, "state" | "message">;

/** What a store must allow that nothing is written to. */
const readingRights: ReadonlySet<StoreRight> = new Set(["list", "read", "range", "sign_read"]);

/** The first object that has bytes stands in for one of ours; what it holds nobody knows, so only what comes is looked at. */
function readingTrials(ground: Ground) {
  const { store, signal } = ground;
  let found: StoredObject | null | undefined;
  const part = { offsetBytes: 0, lengthBytes: 1 };
  const came = async (stream: ReadableStream<Uint8Array>) => (await readAll(stream, "what was asked for", bytes)).byteLength;
  const tries: Readonly<Record<string, (object: StoredObject) => Promise<string | null>>> = {
    read: async ({ key, bytes: whole }) => {
      const lengthBytes = Math.min(whole, bytes);
      if ((await came(await store.read(key, { offsetBytes: 0, lengthBytes }, signal))) === lengthBytes) return "It gives what it holds.";
      throw unmet("It gave fewer bytes than it tells of.");
    },
    range: async ({ key }) => {
      if ((await came(await store.read(key, part, signal))) === 1) return "It gives the part that was asked for.";
      throw unmet("It gave another part than was asked for.");
    },
    sign_read: async ({ key }) => {
      const signed = await store.presign?.({ method: "GET", key, ttlSeconds: 60 });
      if (!signed) return null;
      await sent(ground, signed, { range: "bytes=0-0" });
      return "A host reads by a signed request.";
    },
  };
  return async (right: StoreRight, failed: ReadonlySet<StoreRight>): Promise<Outcome> => {
    if (!readingRights.has(right)) return { state: "unneeded", message: "Nothing is written to it: the store is read-only." };
    if (right === "list")
      return judged(ground, async () => {
        found = await firstWithBytes(store);
        return found ? "It lists what it holds." : "It lists, and holds nothing yet.";
      });
    const object = found;
    if (failed.has("list") || !object) return { state: "skipped", message: "There is no object to try it on." };
    return judged(ground, async () => (await tries[right]?.(object)) ?? null);
  };
}

async function firstWithBytes(store: ObjectStore): Promise<StoredObject | null> {
  for await (const object of store.list("")) if (object.bytes > 0) return object;
  return null;
}

/** What is written first is what all others are tried on. */
const needsObject: ReadonlySet<StoreRight> = new Set(["keep", "read", "range", "sign_read", "remove"]);

async function outcomeOf(right: StoreRight, ground: Ground, failed: ReadonlySet<StoreRight>): Promise<Outcome> {
  if (failed.has("write") && needsObject.has(right)) return { state: "skipped", message: "There is no object to try it on." };
  return judged(ground, () => trials[right](ground));
}

async function judged(ground: Ground, attempt: () => Promise<string | null>): Promise<Outcome> {
  try {
    const said = await attempt();
    return said === null ? { state: "unneeded", message: "The host gateway carries these bytes." } : { state: "passed", message: said };
  } catch (error) {
    ground.signal.throwIfAborted();
    if (error instanceof FaultError) return { state: "failed", message: error.message };
    return { state: "failed", message: "It broke off." };
  }
}

const signedKey = ({ key }: Ground) => `${key}-signed`;
const spoiledKey = ({ key }: Ground) => `${key}-spoiled`;
const sha256 = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");

/** Each answers what to say of its success, or null where the provider has no such thing; a fault is its failure. */
const trials: Readonly<Record<StoreRight, (ground: Ground) => Promise<string | null>>> = {
  own: async ({ store, hubId, signal }) => {
    const identity = await readIdentity(store, signal);
    if (!identity) throw unmet("No hub has claimed it: store.json is missing.");
    if (identity.hubId !== hubId) throw unmet(`It belongs to the hub ${identity.hubId}.`);
    return "It is this hub's.";
  },
  list: async ({ store }) => {
    const [first] = await Array.fromAsync(firstOf(store.list(".drover/v1/trees/")));
    return first ? "It lists what it holds." : "It lists, and holds no image yet.";
  },
  write: async ({ store, key, body, signal }) => {
    await store.write(key, body, sha256(body), signal);
    const kept = await store.size(key);
    if (kept !== body.byteLength) throw unmet(`It took ${body.byteLength} bytes and tells of ${kept ?? "none"}.`);
    return "It takes an object.";
  },
  keep: async ({ store, key, signal }) => {
    const other = Buffer.from("other bytes");
    if ((await store.write(key, other, sha256(other), signal)) === "present") return "It keeps what is there.";
    throw unmet("It replaced an object: it knows no conditional writes.");
  },
  verify: async (ground) => {
    const { store, body, signal } = ground;
    const refused = await store
      .write(spoiledKey(ground), body, sha256(Buffer.from("other bytes")), signal)
      .catch((error: unknown) => error);
    if (refused instanceof FaultError && refused.fault.code === "content_corrupt") return "Bytes that changed are refused.";
    if (refused instanceof Error) throw refused;
    throw unmet("It took bytes that do not have their SHA-256: it checks no checksums.");
  },
  read: async ({ store, key, body, signal }) => {
    const found = await readAll(await store.read(key, null, signal), key, bytes * 2);
    return equal(found, body, "It gives back what it was given.");
  },
  range: async ({ store, key, body, signal }) => {
    const found = await readAll(await store.read(key, { offsetBytes: 70_000, lengthBytes: 1000 }, signal), key, bytes * 2);
    return equal(found, body.subarray(70_000, 71_000), "It gives back the part that was asked for.");
  },
  sign_read: async (ground) => {
    const { store, key, body } = ground;
    const signed = await store.presign?.({ method: "GET", key, ttlSeconds: 60 });
    if (!signed) return null;
    const answer = await sent(ground, signed, { range: "bytes=10-19" });
    return equal(answer, body.subarray(10, 20), "A host reads by a signed request.");
  },
  sign_write: async (ground) => {
    const { store, body } = ground;
    const key = signedKey(ground);
    const signed = await store.presign?.({ method: "PUT", key, sha256: sha256(body), ttlSeconds: 60 });
    if (!signed) return null;
    await sent(ground, signed, { "content-length": String(body.byteLength) }, body);
    if ((await store.size(key)) !== body.byteLength) throw unmet("What was written by a signed request is not there.");
    return "A host writes by a signed request.";
  },
  remove: async ({ store, key }) => {
    await store.remove(key);
    if ((await store.size(key)) !== null) throw unmet("It says that it removed an object, which is still there.");
    return "It removes an object.";
  },
};

async function* firstOf<T>(items: AsyncIterable<T>): AsyncIterable<T> {
  for await (const item of items) return yield item;
}

function equal(found: Uint8Array, wanted: Uint8Array, said: string): string {
  if (Buffer.compare(found, wanted) === 0) return said;
  throw unmet(`It gave other bytes back than it was given (${found.byteLength} for ${wanted.byteLength}).`);
}

async function sent({ http, store, key, signal }: Ground, signed: PresignedRequest, extra: Record<string, string>, body?: Uint8Array) {
  const { method, url, headers } = signed;
  const answer = await http.send({ key, method, url, headers: { ...headers, ...extra }, body, ca: store.authority, signal });
  const text = Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>));
  if ((answer.statusCode ?? 500) < 300) return text;
  throw unmet(`The signed request was answered ${answer.statusCode ?? "nothing"}.`);
}
