/**
 * What the key ring asks of the database: rows that only the master key opens. Implemented in `db/keys.ts`.
 *
 * The one idea: whoever makes a key does so under one lock, so processes that start at the same moment on an empty database agree on its keys.
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
}

export interface KeyTable {
  readHub(): Promise<HubRow | null>;
  writeHub(row: HubRow): Promise<void>;
  list(): Promise<KeyRow[]>;
  /** Adds the key as the current one of its purpose; older ones stay, to read what they wrote. */
  add(row: NewKeyRow): Promise<void>;
}

export interface KeyRows extends Pick<KeyTable, "list"> {
  /** Runs in one transaction that no other process runs at the same time. */
  locked<T>(act: (table: KeyTable) => Promise<T>): Promise<T>;
}
