/** The peer port of a host, where it is turned on: the one exception to the rule that hosts only dial out. */
import { networkInterfaces } from "node:os";
import type { Logger } from "pino";
import type { HostIdentity, HubLink } from "../activities/host/hub-link.ts";
import { openPeers, type Peers, type PeerSetup } from "../activities/host/peers.ts";
import type { Config } from "../domain/config/schema.ts";
import { FaultError } from "../domain/errors.ts";
import type { PeerAddress } from "../domain/hosts/peers.ts";

/** Null where it is off. */
export function peerAddress({ hosts: { peer } }: Config): PeerAddress | null {
  if (peer.port === 0) return null;
  const host = peer.host ?? firstPrivate();
  if (host !== undefined) return { host, port: peer.port, network: peer.network };
  throw new FaultError({
    code: "configuration_invalid",
    message: "DROVER_PEER_PORT is set, but this computer has no private address: name one in DROVER_PEER_HOST.",
  });
}

const privateForm = /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/;

function firstPrivate(): string | undefined {
  const found = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return found.find(({ address, internal }) => !internal && privateForm.test(address))?.address;
}

export interface PeerParts {
  readonly address: PeerAddress | null;
  readonly identity: HostIdentity;
  readonly link: HubLink;
  readonly shared: PeerSetup["shared"];
  readonly log: Logger;
}

export async function openPeerPort({ address, log, ...parts }: PeerParts): Promise<Peers | null> {
  if (!address) return null;
  const onError = (err: unknown) => log.warn({ event: "host.peers_failed", err }, "The hub did not say who is near; the store has it all.");
  const peers = await openPeers({ ...parts, address, onError });
  log.info({ event: "host.peer_port", ...address }, `Other hosts of the network ${address.network} may take chunks here.`);
  return peers;
}
