/**
 * Opens everything that needs the master key; makes it at the first start.
 *
 * The one idea: one transaction decides whether a hub begins or goes on, so however many processes start at once, they agree on its keys.
 */
import { randomUUID } from "node:crypto";
import type { PayloadCodec } from "@temporalio/common";
import { type ArchiveTokens, archiveTokens } from "./archive-tokens.ts";
import { type Authority, newAuthority, openAuthority } from "./authority.ts";
import { type KeyRing, keyRing, newKey, unwrapping } from "./key-ring.ts";
import type { KeyRows, KeyTable } from "./key-rows.ts";
import type { MasterKeySource } from "./master-key-word.ts";
import { payloadCodec } from "./payload-codec.ts";
import { checkOf, provenKey } from "./proof.ts";
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
  readonly archives: ArchiveTokens;
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
  const ring = keyRing(unwrapping(key, masterKey), keys);
  const authority = await openAuthority(ring);
  return {
    hubId,
    ring,
    sealer: sealer(ring),
    codec: payloadCodec(ring),
    signer: userTokens(ring, { hubId, secret: tokenSecret }),
    transfers: transferTokens(ring),
    archives: archiveTokens(ring),
    authority,
  };
}

async function begin(source: MasterKeySource, table: KeyTable): Promise<{ hubId: string; key: Uint8Array }> {
  const proven = await provenKey(source, table);
  if (proven) return { hubId: proven.hub.id, key: proven.key.bytes };
  const { bytes: key } = await source.make();
  const hubId = (await table.readHub())?.id ?? randomUUID();
  await makeKeys(table, hubId, key);
  return { hubId, key };
}

/** All keys of a hub that has none. */
export async function makeKeys(table: KeyTable, hubId: string, key: Uint8Array): Promise<void> {
  await table.writeHub({ id: hubId, masterKeyCheck: checkOf(key, hubId) });
  for (const purpose of ["payload", "signing", "grant"] as const) await table.add(newKey(key, purpose));
  await table.add(await newAuthority(key, hubId));
}
