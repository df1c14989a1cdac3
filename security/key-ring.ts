/**
 * The keys of this hub, opened by the master key: one current key per purpose, and the older ones that still open what they wrote.
 *
 * The one idea: the rows are the truth and this is a view that renews itself, because another process may rotate a key at any time: an id that
 * is unknown here is looked up once more before it counts as unknown.
 */
import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { setTimeout as after } from "node:timers/promises";
import { FaultError } from "../domain/errors.ts";
import { decrypt, encrypt, keyBytes } from "./cipher.ts";
import { type KeyPurpose, keyPurposes, type KeyRow, type KeyRows, type NewKeyRow } from "./key-rows.ts";

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
  /** Makes a new current key. Whatever older ones wrote can still be read. Not for the authority, which hosts have pinned. */
  rotate(purpose: "payload" | "signing" | "grant"): Promise<RingKey>;
}

/** How long a process may go on using a key that another one has replaced: the older key stays valid, so a minute harms nobody. */
const freshMs = 60_000;
/** How often unknown ids make us look again, all that wait together: whoever invents ids must not be able to make us ask the database for each. */
const lookAgainMs = 1_000;

type Snapshot = Readonly<Record<KeyPurpose, readonly RingKey[]>>;

export function keyRing(masterKey: Uint8Array, rows: KeyRows): KeyRing {
  let loaded: { at: number; keys: Promise<Snapshot> } | null = null;

  const load = (maximumAgeMs: number): Promise<Snapshot> => {
    if (loaded && Date.now() - loaded.at < maximumAgeMs) return loaded.keys;
    const keys = rows.list().then((list) => openRows(masterKey, list));
    const mine = { at: Date.now(), keys };
    loaded = mine;
    keys.catch(() => {
      if (loaded === mine) loaded = null;
    });
    return keys;
  };
  const all = async (purpose: KeyPurpose) => (await load(freshMs))[purpose];
  const current = async (purpose: KeyPurpose) => {
    const [key] = await all(purpose);
    if (key) return key;
    throw new FaultError({
      code: "configuration_invalid",
      message: `The database has no ${purpose} key: it was emptied while this process ran.`,
    });
  };
  let lastLookAt = 0;
  let looking: Promise<Snapshot> | null = null;
  const look = async () => {
    await after(Math.max(0, lastLookAt + lookAgainMs - Date.now()));
    lastLookAt = Date.now();
    return load(0);
  };
  const find = async (purpose: KeyPurpose, id: string) => {
    const known = (await all(purpose)).find((key) => key.id === id);
    if (known) return known;
    looking ??= look().finally(() => (looking = null));
    return (await looking)[purpose].find((key) => key.id === id) ?? null;
  };
  const rotate: KeyRing["rotate"] = async (purpose) => {
    await rows.locked((table) => table.add(newKey(masterKey, purpose)));
    loaded = null;
    return current(purpose);
  };
  return { all, current, find, rotate };
}

const contextOf = (row: { id: string; purpose: KeyPurpose }) => `key:${row.purpose}:${row.id}`;

/** Newest first, the current one before all. */
function openRows(masterKey: Uint8Array, rows: readonly KeyRow[]): Snapshot {
  const ordered = rows.toSorted((a, b) => Number(b.current) - Number(a.current) || b.createdAt.getTime() - a.createdAt.getTime());
  const keysOf = (purpose: KeyPurpose) => ordered.filter((row) => row.purpose === purpose).map((row) => openRow(masterKey, row));
  const [payload, signing, authority, grant] = keyPurposes.map(keysOf);
  return { payload: payload ?? [], signing: signing ?? [], authority: authority ?? [], grant: grant ?? [] };
}

function openRow(masterKey: Uint8Array, row: KeyRow): RingKey {
  const secret = decrypt(masterKey, row.wrapped, contextOf(row));
  if (secret) return { id: row.id, secret, public: row.public, createdAt: row.createdAt };
  throw new FaultError({
    code: "configuration_invalid",
    message: `The master key does not open the ${row.purpose} key ${row.id}: it is not the one that wrapped it.`,
  });
}

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
