/**
 * What the key ring asks of the database: rows that only the master key opens. Implemented in `db/keys.ts`.
 *
 * The one idea: whoever makes or wraps a key does so under one lock, so processes that start at the same moment on an empty database agree on its keys.
 */
export const keyPurposes = ["payload", "signing", "authority", "grant"] as const;
export type KeyPurpose = (typeof keyPurposes)[number];

export interface KeyRow {
  readonly id: string;
  readonly purpose: KeyPurpose;
  readonly wrapped: Uint8Array;
  readonly public: Readonly<Record<string, unknown>> | null;
  readonly current: boolean;
  readonly createdAt: Date;
}
export type NewKeyRow = Omit<KeyRow, "current" | "createdAt">;

export interface HubRow {
  readonly id: string;
  /** Opens under the master key that belongs to this database, and under no other. */
  readonly masterKeyCheck: Uint8Array | null;
  /** Since when that master key is in force; null where an older release made it. */
  readonly masterKeySince: Date | null;
}

/** How much went with the keys, and what is left to do again. */
export interface Dropped {
  readonly stores: number;
  readonly hosts: number;
  readonly operations: number;
  readonly outputs: number;
  readonly userConfigs: number;
}

export interface KeyTable {
  readHub(): Promise<HubRow | null>;
  /** The check of a master key that is in force from now on. */
  writeHub(row: { readonly id: string; readonly masterKeyCheck: Uint8Array }): Promise<void>;
  list(): Promise<KeyRow[]>;
  /** Adds the key as the current one of its purpose; older ones stay, to read what they wrote. */
  add(row: NewKeyRow): Promise<void>;
  /** Removes all keys and everything that they sealed. */
  clear(): Promise<Dropped>;
  rewrap(rows: readonly Pick<KeyRow, "id" | "wrapped">[]): Promise<void>;
}

export interface KeyRows extends Pick<KeyTable, "list"> {
  /** Runs in one transaction that no other process runs at the same time. */
  locked<T>(act: (table: KeyTable) => Promise<T>): Promise<T>;
}
