/**
 * This host among its peers: what it serves to them, and whom it may take from.
 *
 * The one idea: both ends hold certificates of the hub that end by themselves. What a peer sends is believed only once it hashes right, so the worst that one
 * can do is to be left alone.
 */
import { createPrivateKey } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { FaultError } from "../../domain/errors.ts";
import { PeerAnswer, type PeerAddress, type PeerRequest } from "../../domain/hosts/peers.ts";
import type { Near, Own } from "../../images/near.ts";
import type { Tree } from "../../images/tree.ts";
import { jsonOf } from "./hub-link-http.ts";
import type { HostIdentity, HubLink } from "./hub-link.ts";
import { peerClient } from "./peer-client.ts";
import { servePeers, type Shared } from "./peer-port.ts";

/** What a transfer under way has so far. */
interface Fetching {
  readonly tree: Tree;
  readonly own: Own;
}

export interface Peers {
  /** The neighbours of one transfer, until it ends. */
  near(transfer: { readonly digest: string; readonly operationId: () => string; readonly signal: AbortSignal }): Promise<Near>;
  close(): Promise<void>;
}

export interface PeerSetup {
  readonly identity: Pick<HostIdentity, "hostId" | "authority" | "privateKey">;
  readonly link: Pick<HubLink, "send" | "now">;
  readonly address: PeerAddress;
  readonly shared: Omit<Shared, "fetching" | "onAsked">;
  readonly onError: (error: unknown) => void;
}

/** Who fetches too is learnt when they ask here, so the hub tells seldom who else came or went; a little less or more, so that hosts that began together do not ask together. */
const askMs = 10_000;
const jitterMs = 3_000;
/** However many come at once. */
const leastAskMs = 500;
/** A hub that many hosts ask at once answers late rather than never, and a transfer that begins without its peers costs the store more than it waits. */
const askLimitMs = 15_000;
/** A hub that is away is asked again; certificates outlast it by hours. */
const renewAgainMs = 30_000;
/** From the end of a transfer until its image is in the cache, where it is served from then on. */
const revealMs = 30_000;

export async function openPeers(setup: PeerSetup): Promise<Peers> {
  const { identity, link, address } = setup;
  const key = createPrivateKey({ key: { ...identity.privateKey }, format: "jwk" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();
  const fetching = new Map<string, Fetching>();
  const askers = new Map<string, (hostId: string) => void>();
  const closing = new AbortController();
  const own = held(await askHub(link, {}, closing.signal));
  const tls = { ca: identity.authority, key, cert: own.certificate };
  const onAsked: Shared["onAsked"] = (digest, hostId) => askers.get(digest)?.(hostId);
  const port = await servePeers({ ...setup.shared, fetching: (digest) => fetching.get(digest) ?? null, onAsked }, { ...address, tls });
  const renewing = renewal(setup, own, port.renew, closing.signal);
  return {
    near: async ({ digest, operationId, signal }) => {
      const client = peerClient({ ca: identity.authority, key, digest });
      const until = AbortSignal.any([signal, closing.signal]);
      const ask = hubQuestion(link, operationId, until);
      const bell = doorbell(client.knows);
      askers.set(digest, bell.ring);
      // Without its peers a transfer only takes longer.
      await ask().then(client.learn).catch(setup.onError);
      void followPeers(async () => client.learn(await ask()), bell.pause, until, setup.onError).finally(() => {
        if (askers.get(digest) === bell.ring) askers.delete(digest);
        const last = fetching.get(digest);
        setTimeout(() => fetching.get(digest) === last && fetching.delete(digest), revealMs).unref();
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

async function askHub(link: Pick<HubLink, "send">, asked: Partial<PeerRequest>, signal: AbortSignal): Promise<PeerAnswer> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(askLimitMs)]);
  const body = Buffer.from(JSON.stringify(asked));
  const headers = { "content-type": "application/json" };
  return PeerAnswer.parse(
    await jsonOf(await link.send({ method: "POST", path: "/host/v1/peers", body, headers, signal: within, authorised: true })),
  );
}

interface Held {
  readonly certificate: string;
  readonly expiresAtMs: number;
}

function held({ certificate, expiresAt }: PeerAnswer): Held {
  if (certificate !== null && expiresAt !== null) return { certificate, expiresAtMs: Date.parse(expiresAt) };
  throw new FaultError({ code: "hub_unavailable", message: "The hub answered without the certificate that was asked for." });
}

/** The peers of a transfer, with a certificate only where the last one has lived half of its life. */
function hubQuestion({ send, now }: PeerSetup["link"], operationId: () => string, signal: AbortSignal): () => Promise<PeerAnswer> {
  let renewAtMs = 0;
  return async () => {
    const answer = await askHub({ send }, { operationId: operationId(), certified: now() < renewAtMs }, signal);
    if (answer.expiresAt !== null) renewAtMs = (now() + Date.parse(answer.expiresAt)) / 2;
    return answer;
  };
}

/** Cuts a pause short when a peer asks that the hub has not told of; each of them does so once. */
function doorbell(knows: (hostId: string) => boolean) {
  const rung = new Set<string>();
  let bell = new AbortController();
  return {
    ring: (hostId: string) => {
      if (knows(hostId) || rung.has(hostId)) return;
      rung.add(hostId);
      bell.abort();
    },
    pause: async (ms: number, signal: AbortSignal): Promise<void> => {
      await delay(ms, undefined, { signal: AbortSignal.any([signal, bell.signal]) }).catch(() => {});
      bell = new AbortController();
    },
  };
}

/** Ends with the signal, which whoever began the transfer aborts at its end. */
async function followPeers(
  ask: () => Promise<void>,
  pause: (ms: number, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
  onError: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    await delay(leastAskMs, undefined, { signal }).catch(() => {});
    await pause(askMs + jitterMs * (Math.random() - 0.5), signal);
    if (signal.aborted) return;
    await ask().catch((error: unknown) => (signal.aborted ? undefined : onError(error)));
  }
}

/** At half of its life, so that a hub may be away for the other half. */
async function renewal(
  { link, onError }: PeerSetup,
  first: Held,
  renew: (certificate: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let { expiresAtMs } = first;
  while (!signal.aborted) {
    await delay(Math.max(renewAgainMs, (expiresAtMs - link.now()) / 2), undefined, { signal, ref: false }).catch(() => {});
    if (signal.aborted) return;
    try {
      const fresh = held(await askHub(link, {}, signal));
      renew(fresh.certificate);
      expiresAtMs = fresh.expiresAtMs;
    } catch (error) {
      onError(error);
    }
  }
}
