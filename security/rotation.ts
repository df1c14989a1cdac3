/**
 * Changing keys: a new current key of a purpose, or a new master key round all of them.
 *
 * The one idea: whoever changes keys holds the lock under which keys are made and first proves the master key in force, so no key is ever wrapped with
 * one that is gone. A new master key is safe on the disk before the transaction that wraps with it, and becomes the one in force after it.
 */
import { FaultError } from "../domain/errors.ts";
import { newKey, openRow, wrapKey } from "./key-ring.ts";
import type { Dropped, KeyPurpose, KeyRow, KeyRows, KeyTable } from "./key-rows.ts";
import { idOfKey, invalidKey, type MasterKeySource, sameKey } from "./master-key-word.ts";
import { makeKeys } from "./open.ts";
import { checkOf, type Proven, provenKey } from "./proof.ts";

export interface Keeper {
  readonly masterKey: MasterKeySource;
  readonly keys: KeyRows;
}

export interface KeyReport {
  readonly hubId: string;
  readonly masterKey: { readonly id: string; readonly from: string; readonly since: Date | null };
  readonly keys: ReadonlyArray<Pick<KeyRow, "id" | "purpose" | "current" | "createdAt">>;
}

export interface Rotated {
  readonly id: string;
  readonly replaced: string;
}

/** The authority is not among them: hosts have pinned it. */
export type RotatedPurpose = Exclude<KeyPurpose, "authority">;

export const showKeys = ({ masterKey, keys }: Keeper): Promise<KeyReport> =>
  keys.locked(async (table) => {
    const { hub, key } = await mustBeProven(masterKey, table);
    const rows = (await table.list()).toSorted(
      (a, b) => a.purpose.localeCompare(b.purpose) || b.createdAt.getTime() - a.createdAt.getTime(),
    );
    return {
      hubId: hub.id,
      masterKey: { id: idOfKey(key.bytes), from: key.from, since: hub.masterKeySince },
      keys: rows.map(({ id, purpose, current, createdAt }) => ({ id, purpose, current, createdAt })),
    };
  });

/** What older keys of the purpose wrote or signed can still be read; every process uses the new one within seconds. */
export const rotateKey = ({ masterKey, keys }: Keeper, purpose: RotatedPurpose): Promise<Rotated> =>
  keys.locked(async (table) => {
    const { key } = await mustBeProven(masterKey, table);
    const before = (await table.list()).find((row) => row.purpose === purpose && row.current);
    const made = newKey(key.bytes, purpose);
    await table.add(made);
    return { id: made.id, replaced: before?.id ?? "" };
  });

export async function rotateMasterKey({ masterKey, keys }: Keeper): Promise<Rotated> {
  const { next, replaced } = await keys.locked(async (table) => {
    const { hub, key } = await mustBeProven(masterKey, table);
    const next = await masterKey.next();
    if (sameKey(next.bytes, key.bytes)) throw invalidKey(`Everything is wrapped with the key from ${next.from} already.`);
    const rows = await table.list();
    await table.rewrap(rows.map((row) => rewrapped(row, key.bytes, next.bytes)));
    await table.writeHub({ id: hub.id, masterKeyCheck: checkOf(next.bytes, hub.id) });
    return { next, replaced: idOfKey(key.bytes) };
  });
  await keys.locked(() => masterKey.settle(next));
  return { id: idOfKey(next.bytes), replaced };
}

function rewrapped(row: KeyRow, from: Uint8Array, to: Uint8Array): Pick<KeyRow, "id" | "wrapped"> {
  const secret = openRow(from, row);
  if (secret) return wrapKey(to, { id: row.id, purpose: row.purpose, public: row.public, secret });
  throw new FaultError({ code: "internal", message: `The ${row.purpose} key ${row.id} is not wrapped with the hub's master key.` });
}

export async function mustBeProven(source: MasterKeySource, table: Pick<KeyTable, "readHub">): Promise<Proven> {
  const proven = await provenKey(source, table);
  if (proven) return proven;
  throw invalidKey("The database belongs to no hub yet: its keys are made when a hub first starts.");
}

/** Begins anew with a fresh master key where the hub's own is lost. What that one sealed goes. */
export const forgetMasterKey = ({ masterKey, keys }: Keeper): Promise<Dropped & { id: string }> =>
  keys.locked(async (table) => {
    const hub = await table.readHub();
    if (!hub) throw invalidKey("The database belongs to no hub yet: there is nothing to forget.");
    const works = await provenKey(masterKey, table).catch((error: unknown) => {
      if (error instanceof FaultError && error.fault.code === "master_key_lost") return null;
      throw error;
    });
    if (works) throw new FaultError({ code: "master_key_works", message: `The master key from ${works.key.from} opens everything.` });
    const { bytes } = await masterKey.afresh();
    const dropped = await table.clear();
    await makeKeys(table, hub.id, bytes);
    return { id: idOfKey(bytes), ...dropped };
  });
