/**
 * What the hub tells a host of its peers: the hosts on one network that have an image, or fetch it at the same time.
 *
 * The one idea: the hub says who has what and hands out certificates; it carries none of the bytes.
 */
import { z } from "zod";
import { HostId, OperationId, Sha256 } from "../ids.ts";

/** Where a host serves others; told in its facts. */
export const PeerAddress = z
  .object({
    host: z.string().min(1).max(255),
    port: z.int().min(1).max(65_535),
    network: z.string().min(1).max(128).meta({ description: "Hosts that name the same network reach one another." }),
  })
  .meta({ id: "PeerAddress" });
export type PeerAddress = z.infer<typeof PeerAddress>;

/** For a transfer: the right to take its image. Without an operation: the certificate under which this host serves. */
export const PeerRequest = z.object({
  operationId: OperationId.optional(),
  /** The certificate of an earlier answer holds for a while yet: another would cost the hub a signature, and hosts their connections. */
  certified: z.boolean().default(false),
});
export type PeerRequest = z.infer<typeof PeerRequest>;

const Peer = z.object({ hostId: HostId, host: z.string(), port: z.int() });
export const PeerAnswer = z.object({
  /** Null where none was asked for. */
  certificate: z.string().nullable(),
  expiresAt: z.iso.datetime().nullable(),
  /** The image that may be taken; null where none was asked for. */
  digest: Sha256.nullable(),
  peers: z.array(Peer),
});
export type PeerAnswer = z.infer<typeof PeerAnswer>;
