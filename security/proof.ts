/**
 * Whether a master key is the one of this hub.
 *
 * The one idea: the hub's row keeps a mark that only its own master key opens, so a lost or wrong key is told at the start of a process and not at
 * its first use, and no process ever begins anew beside keys that exist.
 */
import { FaultError } from "../domain/errors.ts";
import { decrypt, encrypt } from "./cipher.ts";
import type { HubRow, KeyTable } from "./key-rows.ts";
import type { MasterKey, MasterKeySource } from "./master-key-word.ts";

type Marked = HubRow & { readonly masterKeyCheck: Uint8Array };
export interface Proven {
  readonly hub: Marked;
  readonly key: MasterKey;
}

/** The hub and its master key; null where there is no hub yet. Ends a rotation that was killed after its transaction. */
export async function provenKey(source: MasterKeySource, table: Pick<KeyTable, "readHub">): Promise<Proven | null> {
  const row = await table.readHub();
  if (!row?.masterKeyCheck) return null;
  const hub = { ...row, masterKeyCheck: row.masterKeyCheck };
  const keys = await source.read();
  const key = keys.find(({ bytes }) => opensHub(bytes, hub));
  if (!key) throw keys.length === 0 ? missing(source, hub) : wrong(source, hub);
  await source.settle(key);
  return { hub, key };
}

const opensHub = (key: Uint8Array, { id, masterKeyCheck }: Marked): boolean => decrypt(key, masterKeyCheck, checkContext(id)) !== null;

export const checkOf = (key: Uint8Array, hubId: string): Uint8Array => encrypt(key, Buffer.from(hubId), checkContext(hubId));
const checkContext = (hubId: string) => `hub:${hubId}`;

const missing = ({ name }: MasterKeySource, { id }: Marked) =>
  new FaultError({
    code: "master_key_lost",
    message: `The database belongs to hub ${id}, whose master key is missing: ${name} has none.`,
  });

const wrong = ({ name }: MasterKeySource, { id }: Marked) =>
  new FaultError({
    code: "master_key_lost",
    message: `The master key from ${name} is not the one of hub ${id}, to which the database belongs: what is sealed there would not open.`,
  });
