/**
 * A client of S3, and what speaks like it, as a location asks for it.
 *
 * The one idea: credentials that the hub's environment offers (variables, profiles, roles) may be renewed behind our back, so when the store refuses them
 * they are read once more; those that were given are final.
 */
import { S3Client } from "@aws-sdk/client-s3";
import { defaultProvider } from "@aws-sdk/credential-provider-node";
import type { S3Credentials } from "../domain/catalog/store-credentials.ts";
import { withKnown } from "./authority.ts";
import { throughProxies } from "./proxies.ts";

export interface S3Options {
  readonly bucket: string;
  /** Below which all keys lie: empty, or ending in "/". */
  readonly prefix: string;
  readonly region: string;
  /** Another server than Amazon's. */
  readonly endpoint?: string | undefined;
  /** Whether the bucket stands in the path or in the host name; by default in the path where an endpoint is given. */
  readonly style?: "path" | "host" | undefined;
  /** Of the AWS configuration files on the hub. */
  readonly profile?: string | undefined;
  /** How the server encrypts what it keeps; what its bucket says without it. */
  readonly sse?: "s3" | "kms" | undefined;
  readonly kmsKey?: string | undefined;
  /** Certificates (PEM) that the server is known by. */
  readonly ca?: string | undefined;
  /** Null: those of the environment. */
  readonly credentials: S3Credentials | null;
}

export interface S3Access {
  client(): S3Client;
  /** Whether there are other credentials than those that `refused` had: the environment's are read again, unless that was just done. */
  renewed(refused: S3Client): boolean;
}

/** Often enough for whoever renews a file by hand, seldom enough to leave a refusing store in peace. */
const renewEveryMs = 10_000;

export function s3Access(options: S3Options, now: () => number = Date.now): S3Access {
  let client = s3Client(options);
  let last = -Infinity;
  return {
    client: () => client,
    renewed: (refused) => {
      // Of many that were refused at once, the first has read them for all.
      if (refused !== client) return true;
      if (options.credentials !== null || now() - last < renewEveryMs) return false;
      last = now();
      client = s3Client(options);
      return true;
    },
  };
}

function s3Client({ endpoint, region, style, credentials, profile, ca }: S3Options): S3Client {
  return new S3Client({
    region,
    forcePathStyle: style === undefined ? endpoint !== undefined : style === "path",
    // Our own tries, which all providers share, are those that count.
    maxAttempts: 1,
    // Our own SHA-256 is sent with each write; the SDK's default would add a second checksum, which presigned writes cannot carry.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // A request that waits for leave to send its body gets a connection of its own from this SDK, closed after it: with TLS four ways there and back more per pack.
    expectContinueHeader: false,
    requestHandler: {
      // 10 s to connect; 60 s of silence: a pack of 16 MiB passes in that time at 300 KB/s.
      connectionTimeout: 10_000,
      socketTimeout: 60_000,
      // Reads and packs of several transfers that pass the hub.
      httpAgent: { keepAlive: true, maxSockets: 64, ...throughProxies() },
      httpsAgent: { keepAlive: true, maxSockets: 64, ...throughProxies(), ...(ca === undefined ? {} : { ca: withKnown(ca) }) },
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    credentials: credentials === null ? fromEnvironment(profile) : withoutAbsent(credentials),
  });
}

/** Files are read anew by each client: the SDK would remember what they held when this process began. */
const fromEnvironment = (profile: string | undefined) =>
  defaultProvider({ ignoreCache: true, ...(profile === undefined ? {} : { profile }) });

function withoutAbsent({ sessionToken, ...keys }: S3Credentials) {
  return sessionToken === undefined ? keys : { ...keys, sessionToken };
}
