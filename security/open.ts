/**
 * Opens everything that needs the master key; makes it at the first start.
 *
 * The one idea: the hub's row keeps a mark that only its own master key opens, so a lost or wrong key is told at the start of a process and not at
 * its first use, and no process ever begins anew beside keys that exist.
 */
import { randomUUID } from "node:crypto";
import type { PayloadCodec } from "@temporalio/common";
import { FaultError } from "../domain/errors.ts";
import { type Authority, newAuthority, openAuthority } from "./authority.ts";
import { decrypt, encrypt } from "./cipher.ts";
import { type KeyRing, keyRing, newKey } from "./key-ring.ts";
import type { HubRow, KeyRows, KeyTable } from "./key-rows.ts";
import type { MasterKeySource } from "./master-key.ts";
import { payloadCodec } from "./payload-codec.ts";
import { type Sealer, sealer } from "./sealing.ts";
import { type TransferTokens, transferTokens } from "./transfer-tokens.ts";
import { type Signer, userTokens } from "./user-tokens.ts";

export interface Security {
  readonly hubId: string;
  readonly ring: KeyRing;
  readonly sealer: Sealer;
  readonly codec: PayloadCodec;
  readonly signer: Signer;
  readonly transfers: TransferTokens;
  readonly authority: Authority;
}

export interface SecurityOptions {
  readonly masterKey: MasterKeySource;
  /** `keyRows(db)` of `db/keys.ts`. */
  readonly keys: KeyRows;
  /** JWT_HMACS_SECRET, where it is set. */
  readonly tokenSecret?: string | undefined;
}

export async function openSecurity({ masterKey, keys, tokenSecret }: SecurityOptions): Promise<Security> {
  const { hubId, key } = await keys.locked((table) => begin(masterKey, table));
  const ring = keyRing(key, keys);
  const authority = await openAuthority(ring);
  return {
    hubId,
    ring,
    sealer: sealer(ring),
    codec: payloadCodec(ring),
    signer: userTokens(ring, tokenSecret),
    transfers: transferTokens(ring),
    authority,
  };
}

async function begin(source: MasterKeySource, table: KeyTable): Promise<{ hubId: string; key: Uint8Array }> {
  const hub = await table.readHub();
  if (hub?.masterKeyCheck) return { hubId: hub.id, key: await provenKey(source, { ...hub, masterKeyCheck: hub.masterKeyCheck }) };
  const key = await source.make();
  const hubId = hub?.id ?? randomUUID();
  await table.writeHub({ id: hubId, masterKeyCheck: encrypt(key, Buffer.from(hubId), checkContext(hubId)) });
  for (const purpose of ["payload", "signing", "grant"] as const) await table.add(newKey(key, purpose));
  await table.add(await newAuthority(key, hubId));
  return { hubId, key };
}

async function provenKey(source: MasterKeySource, hub: HubRow & { masterKeyCheck: Uint8Array }): Promise<Uint8Array> {
  const key = await source.read();
  if (!key) {
    throw new FaultError({
      code: "configuration_invalid",
      message: `The database belongs to hub ${hub.id}, whose master key is missing: ${source.name} has none. Bring the file back, or set DROVER_MASTER_KEY to the key.`,
    });
  }
  if (decrypt(key, hub.masterKeyCheck, checkContext(hub.id))) return key;
  throw new FaultError({
    code: "configuration_invalid",
    message: `The master key from ${source.name} is not the one of hub ${hub.id}, to which the database belongs: what is sealed there would not open.`,
  });
}

const checkContext = (hubId: string) => `hub:${hubId}`;
