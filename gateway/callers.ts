/**
 * Who speaks to the gateway: a host by a token that it signed itself, or a caller's own computer by a token of ours that names its operation.
 *
 * The one idea: a token is proved once and then believed for ten seconds, because a busy host calls twenty times a second; whatever changes in
 * the database (a new key, a removed host) therefore counts after ten seconds at most. While the database is away nothing changes there, and what was
 * proved is believed until its token ends: hosts keep their work.
 */
import { createHash } from "node:crypto";
import type { Database } from "../db/connect.ts";
import { findHostIdentity } from "../db/hosts.ts";
import { FaultError } from "../domain/errors.ts";
import { foreignFault } from "../domain/foreign.ts";
import { claimedHost, verifyHostToken } from "../security/host-tokens.ts";
import type { TransferTokens } from "../security/transfer-tokens.ts";

export interface HostCaller {
  readonly kind: "host";
  readonly hostId: string;
  /** Of the host process, told by its token. */
  readonly session: string;
}
/** A computer that does its part of one push, and may do nothing else. */
export interface PushCaller {
  readonly kind: "push";
  readonly operationId: string;
}
export type Caller = HostCaller | PushCaller;

export interface CallersOptions {
  readonly db: Database;
  readonly hubId: string;
  readonly transfers: TransferTokens;
}

const believedMs = 10_000;
/** More than there are hosts and callers; bounds the memory. */
const believedCount = 5_000;

/** Answers who sent a Bearer token, or fails with `unauthenticated`. */
export function callers(options: CallersOptions): (authorization: string | undefined) => Promise<Caller> {
  const believed = new Map<string, Believed>();
  return async (authorization) => {
    const token = /^Bearer (\S+)$/i.exec(authorization ?? "")?.[1];
    if (token === undefined) throw unauthenticated("The request carries no bearer token.");
    const mark = createHash("sha256").update(token).digest("base64");
    const known = believed.get(mark);
    if (known && known.until > Date.now()) return known.caller;
    const proved = await prove(options, token).catch((error: unknown) => {
      if (known && known.expiresAt.getTime() > Date.now() && isAway(error)) return known;
      throw error;
    });
    const { caller, expiresAt } = proved;
    if (believed.size >= believedCount) believed.clear();
    believed.set(mark, { caller, expiresAt, until: Math.min(Date.now() + believedMs, expiresAt.getTime()) });
    return caller;
  };
}

interface Believed {
  readonly caller: Caller;
  readonly until: number;
  readonly expiresAt: Date;
}

const isAway = (error: unknown): boolean => foreignFault(error)?.code === "hub_unavailable";

async function prove({ db, hubId, transfers }: CallersOptions, token: string): Promise<{ caller: Caller; expiresAt: Date }> {
  const hostId = claimedHost(token);
  if (hostId !== null) {
    const host = await findHostIdentity(db, hostId);
    if (!host) throw unauthenticated(`There is no host ${hostId} (any more): enrol it again.`);
    const { session, expiresAt } = await verifyHostToken(token, { publicKey: host.publicKey, hostId: host.id, hubId });
    return { caller: { kind: "host", hostId: host.id, session }, expiresAt };
  }
  const { operationId, expiresAt } = await transfers.verify(token);
  return { caller: { kind: "push", operationId }, expiresAt };
}

const unauthenticated = (message: string) => new FaultError({ code: "unauthenticated", message });

/** How task tokens, grants and logs name a caller. */
export const nameOf = (caller: Caller): string => (caller.kind === "host" ? `host:${caller.hostId}` : `push:${caller.operationId}`);
