/**
 * `POST /host/v1/peers`: with whom a host may share a transfer, and the certificate that is its right to.
 *
 * The one idea: a host may take from others exactly what its operation may read from the store; the certificate says so to them, and the hub carries no byte.
 */
import type { Database } from "../../db/connect.ts";
import { grantScope, grantSubject } from "../../db/grants.ts";
import { findHostIdentity } from "../../db/hosts.ts";
import { peersOf } from "../../db/peers.ts";
import { FaultError } from "../../domain/errors.ts";
import type { PeerAnswer, PeerRequest } from "../../domain/hosts/peers.ts";
import type { Authority } from "../../security/authority.ts";
import type { Caller } from "../callers.ts";

export interface PeerOptions {
  readonly db: Database;
  readonly authority: Pick<Authority, "issuePeer">;
}

export function peerHandler({ db, authority }: PeerOptions) {
  return async (caller: Caller, { operationId, certified }: PeerRequest): Promise<PeerAnswer> => {
    const host = caller.kind === "host" ? await findHostIdentity(db, caller.hostId) : null;
    if (!host) throw new FaultError({ code: "forbidden", message: "Only hosts have peers." });
    const digest = operationId === undefined ? null : await digestOf(db, host.id, operationId);
    const issued = certified ? null : await authority.issuePeer({ hostId: host.id, publicKey: host.publicKey, digest });
    const peers = digest === null ? [] : await peersOf(db, { hostId: host.id, digest });
    return { certificate: issued?.certificate ?? null, expiresAt: issued?.expiresAt.toISOString() ?? null, digest, peers };
  };
}

/** The image that the operation fetches here. */
async function digestOf(db: Database, hostId: string, operationId: string): Promise<string> {
  const scope = await grantScope(db, await grantSubject(db, { operationId, holder: { hostId }, begin: false }));
  const [tree] = scope?.packs === "read" ? scope.trees : [];
  if (tree) return tree.digest;
  throw new FaultError({ code: "grant_refused", message: `The operation ${operationId} fetches no image.`, subject: operationId });
}
