/**
 * This host among its peers: what it serves to them, and whom it may take from.
 *
 * The one idea: both ends hold certificates of the hub that end by themselves. What a peer sends is believed only once it hashes right, so the worst that one
 * can do is to be left alone.
 */
import { createPrivateKey } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { PeerAnswer, type PeerAddress } from "../../domain/hosts/peers.ts";
import type { Near, RowSet } from "../../images/near.ts";
import type { Tree } from "../../images/tree.ts";
import { jsonOf } from "./hub-link-http.ts";
import type { HostIdentity, HubLink } from "./hub-link.ts";
import { peerClient } from "./peer-client.ts";
import { servePeers, type Shared } from "./peer-port.ts";

/** What a transfer under way has so far. */
export interface Fetching {
  readonly tree: Tree;
  readonly own: RowSet;
}

export interface Peers {
  /** The neighbours of one transfer, until it ends. */
  near(transfer: { readonly digest: string; readonly operationId: () => string; readonly signal: AbortSignal }): Promise<Near>;
  close(): Promise<void>;
}

export interface PeerSetup {
  readonly identity: Pick<HostIdentity, "hostId" | "authority" | "privateKey">;
  readonly link: Pick<HubLink, "send">;
  readonly address: PeerAddress;
  readonly shared: Omit<Shared, "fetching">;
  readonly onError: (error: unknown) => void;
}

/** Who else fetches is learnt soon at first, when many begin together, and then as often as hosts report. */
const firstAskMs = 500;
const lastAskMs = 5_000;
const askLimitMs = 5_000;
/** A hub that is away is asked again; certificates outlast it by hours. */
const renewAgainMs = 30_000;

export async function openPeers(setup: PeerSetup): Promise<Peers> {
  const { identity, link, address } = setup;
  const key = createPrivateKey({ key: { ...identity.privateKey }, format: "jwk" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();
  const fetching = new Map<string, Fetching>();
  const closing = new AbortController();
  const own = await askHub(link, {}, closing.signal);
  const tls = { ca: identity.authority, key, cert: own.certificate };
  const port = await servePeers({ ...setup.shared, fetching: (digest) => fetching.get(digest) ?? null }, { ...address, tls });
  const renewing = renewal(setup, own, port.renew, closing.signal);
  return {
    near: async ({ digest, operationId, signal }) => {
      const client = peerClient({ ca: identity.authority, key, digest });
      const until = AbortSignal.any([signal, closing.signal]);
      const ask = async () => client.learn(await askHub(link, { operationId: operationId() }, until));
      // Without its peers a transfer only takes longer.
      await ask().catch(setup.onError);
      void followPeers(ask, until, setup.onError).finally(() => {
        fetching.delete(digest);
        client.close();
      });
      return { id: identity.hostId, neighbours: client.neighbours, begin: (tree, rows) => void fetching.set(digest, { tree, own: rows }) };
    },
    close: async () => {
      closing.abort();
      await Promise.all([port.close(), renewing]);
    },
  };
}

async function askHub(link: Pick<HubLink, "send">, asked: object, signal: AbortSignal): Promise<PeerAnswer> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(askLimitMs)]);
  const body = Buffer.from(JSON.stringify(asked));
  const headers = { "content-type": "application/json" };
  return PeerAnswer.parse(
    await jsonOf(await link.send({ method: "POST", path: "/host/v1/peers", body, headers, signal: within, authorised: true })),
  );
}

/** Ends with the signal, which whoever began the transfer aborts at its end. */
async function followPeers(ask: () => Promise<void>, signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
  for (let pauseMs = firstAskMs; ; pauseMs = Math.min(pauseMs * 1.5, lastAskMs)) {
    await delay(pauseMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    await ask().catch((error: unknown) => (signal.aborted ? undefined : onError(error)));
  }
}

/** At half of its life, so that a hub may be away for the other half. */
async function renewal(
  { link, onError }: PeerSetup,
  first: PeerAnswer,
  renew: (certificate: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let expiresAt = Date.parse(first.expiresAt);
  while (!signal.aborted) {
    await delay(Math.max(renewAgainMs, (expiresAt - Date.now()) / 2), undefined, { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    try {
      const fresh = await askHub(link, {}, signal);
      renew(fresh.certificate);
      expiresAt = Date.parse(fresh.expiresAt);
    } catch (error) {
      onError(error);
    }
  }
}
