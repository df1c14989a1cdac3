/**
 * The keys of this hub, opened by the master key: one current key per purpose, and the older ones that still open what they wrote.
 *
 * The one idea: the rows are the truth and this is a view that renews itself, because another process may rotate a key at any time: an id that
 * is unknown here is looked up once more before it counts as unknown. A key that was opened once stays open, whatever the master key is by now.
 */
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { setTimeout as after } from "node:timers/promises";
import { FaultError } from "../domain/errors.ts";
import { decrypt, encrypt, keyBytes } from "./cipher.ts";
import { type KeyPurpose, type KeyRow, type KeyRows, type NewKeyRow } from "./key-rows.ts";
import type { MasterKeySource } from "./master-key-word.ts";

export interface RingKey {
  readonly id: string;
  /** 32 bytes of a symmetric key, or a private key in PKCS #8. */
  readonly secret: Uint8Array;
  readonly public: Readonly<Record<string, unknown>> | null;
  readonly createdAt: Date;
}

export interface KeyRing {
  /** The key that new things are made with. */
  current(purpose: KeyPurpose): Promise<RingKey>;
  find(purpose: KeyPurpose, id: string): Promise<RingKey | null>;
  all(purpose: KeyPurpose): Promise<readonly RingKey[]>;
}

/** How long a process may go on using a key that another one has replaced. The older key stays valid, so this is only how soon a rotation counts. */
export const freshMs = 5_000;
/** How often unknown ids make us look again, all that wait together: whoever invents ids must not be able to make us ask the database for each. */
const lookAgainMs = 1_000;
/** A database that is away or hangs must not stop whoever has keys that are good. */
const patienceMs = 1_000;

interface Snapshot {
  readonly at: number;
  readonly keys: Readonly<Record<KeyPurpose, readonly RingKey[]>>;
  /** Ids of rows that no master key of this process opens. */
  readonly closed: ReadonlySet<string>;
}

/** The secret of a row, or null when no master key at hand opens it. */
type Unwrap = (row: KeyRow) => Promise<Uint8Array | null>;

export function keyRing(unwrap: Unwrap, rows: Pick<KeyRows, "list">): KeyRing {
  let good: Snapshot | null = null;
  let renewing: Promise<Snapshot> | null = null;
  const read = async (): Promise<Snapshot> => {
    const at = Date.now();
    const opened = await openRows(await rows.list(), unwrap, good);
    if (good === null || good.at <= at) good = { at, ...opened };
    return { at, ...opened };
  };
  const fresh = async (): Promise<Snapshot> => {
    const known = good;
    if (known && Date.now() - known.at < freshMs) return known;
    renewing ??= read().finally(() => (renewing = null));
    if (!known) return renewing;
    return Promise.race([renewing, after(patienceMs, known, { ref: false })]).catch(() => known);
  };
  const all = async (purpose: KeyPurpose) => (await fresh()).keys[purpose];
  let lastLookAt = 0;
  let looking: Promise<Snapshot> | null = null;
  const look = async () => {
    await after(Math.max(0, lastLookAt + lookAgainMs - Date.now()));
    lastLookAt = Date.now();
    return read();
  };
  const find = async (purpose: KeyPurpose, id: string) => {
    const known = (await all(purpose)).find((key) => key.id === id);
    if (known) return known;
    looking ??= look().finally(() => (looking = null));
    const { keys, closed } = await looking;
    if (closed.has(id)) throw closedKey(purpose, id);
    return keys[purpose].find((key) => key.id === id) ?? null;
  };
  return { all, find, current: async (purpose) => firstOf(await all(purpose), purpose) };
}

function firstOf([key]: readonly RingKey[], purpose: KeyPurpose): RingKey {
  if (key) return key;
  throw new FaultError({
    code: "configuration_invalid",
    message: `The database has no ${purpose} key: it was emptied while this process ran.`,
  });
}

/** Tries the key that was proved at the start, then whatever the source has by now. */
export function unwrapping(first: Uint8Array, source: Pick<MasterKeySource, "read">): Unwrap {
  let known: readonly Uint8Array[] = [first];
  const opened = (row: KeyRow) => {
    for (const key of known) {
      const secret = openRow(key, row);
      if (secret) return secret;
    }
    return null;
  };
  return async (row) => {
    const secret = opened(row);
    if (secret) return secret;
    known = (await source.read()).map(({ bytes }) => bytes);
    return opened(row);
  };
}

const contextOf = (row: { id: string; purpose: KeyPurpose }) => `key:${row.purpose}:${row.id}`;

/** Newest first, the current one before all. At first all of them must open; later those that do not are left to processes that can. */
async function openRows(rows: readonly KeyRow[], unwrap: Unwrap, known: Snapshot | null): Promise<Pick<Snapshot, "keys" | "closed">> {
  const ordered = rows.toSorted((a, b) => Number(b.current) - Number(a.current) || b.createdAt.getTime() - a.createdAt.getTime());
  const keys: Record<KeyPurpose, RingKey[]> = { payload: [], signing: [], authority: [], grant: [] };
  const closed = new Set<string>();
  for (const row of ordered) {
    const secret = known?.keys[row.purpose].find(({ id }) => id === row.id)?.secret ?? (await unwrap(row));
    if (secret) keys[row.purpose].push({ id: row.id, secret, public: row.public, createdAt: row.createdAt });
    else if (known) closed.add(row.id);
    else throw closedKey(row.purpose, row.id);
  }
  return { keys, closed };
}

const closedKey = (purpose: KeyPurpose, id: string) =>
  new FaultError({
    code: "master_key_lost",
    message: `No master key of this process opens the ${purpose} key ${id}: it was wrapped with another one.`,
  });

export const openRow = (masterKey: Uint8Array, row: KeyRow): Uint8Array | null => decrypt(masterKey, row.wrapped, contextOf(row));

export function wrapKey(masterKey: Uint8Array, key: Omit<NewKeyRow, "wrapped"> & { secret: Uint8Array }): NewKeyRow {
  const { secret, ...row } = key;
  return { ...row, wrapped: encrypt(masterKey, secret, contextOf(row)) };
}

export function newKey(masterKey: Uint8Array, purpose: "payload" | "signing" | "grant"): NewKeyRow {
  const id = randomUUID();
  if (purpose !== "signing") return wrapKey(masterKey, { id, purpose, public: null, secret: randomBytes(keyBytes) });
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = publicKey.export({ format: "jwk" });
  return wrapKey(masterKey, {
    id,
    purpose,
    public: { ...jwk, kid: id, alg: "ES256", use: "sig" },
    secret: privateKey.export({ type: "pkcs8", format: "der" }),
  });
}
