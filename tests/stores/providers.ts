/**
 * The providers that tests reach over HTTP, each behind one shape: a real SeaweedFS, a real Azurite, and the stand-in of Artifactory.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { ContainerSASPermissions, generateBlobSASQueryParameters, StorageSharedKeyCredential } from "@azure/storage-blob";
import { expect } from "vitest";
import { artifactoryStore } from "../../stores/artifactory.ts";
import { azureStore } from "../../stores/azure.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import { s3Store } from "../../stores/s3.ts";
import { startArtifactoryServer, type ArtifactoryServer } from "./artifactory-server.ts";
import { startAzureServer, type AzureServer } from "./azure-server.ts";
import { startS3Server, type S3Server } from "./s3-server.ts";

export interface Providers {
  readonly s3: S3Server;
  readonly azure: AzureServer;
  readonly artifactory: ArtifactoryServer;
  /** Those of the S3 and of the Azure stores. */
  readonly bucket: string;
  readonly container: string;
  /** Each with a prefix of its own; `endpoint` leads there by another way. */
  s3Store(change?: { bucket?: string; prefix?: string; secret?: string; endpoint?: string; keys?: S3Server["reader"] }): ObjectStore;
  azureStore(change?: { container?: string; prefix?: string; accountKey?: string; sas?: string; endpoint?: string }): ObjectStore;
  artifactoryStore(change?: {
    repo?: string;
    prefix?: string;
    endpoint?: string;
    credentials?: Parameters<typeof artifactoryStore>[0]["credentials"];
  }): ObjectStore;
  stop(): Promise<void>;
}

export async function startProviders(): Promise<Providers> {
  const [s3, azure, artifactory] = await Promise.all([startS3Server(), startAzureServer(), startArtifactoryServer()]);
  const [bucket, container] = await Promise.all([s3.makeBucket(), azure.makeContainer()]);
  const prefix = () => `${randomUUID()}/`;
  return {
    s3,
    azure,
    artifactory,
    bucket,
    container,
    s3Store: (change = {}) =>
      s3Store({
        bucket: change.bucket ?? bucket,
        prefix: change.prefix ?? prefix(),
        region: "us-east-1",
        endpoint: change.endpoint ?? s3.endpoint,
        credentials: {
          accessKeyId: change.keys?.accessKey ?? s3.accessKey,
          secretAccessKey: change.keys?.secretKey ?? change.secret ?? s3.secretKey,
        },
      }),
    azureStore: (change = {}) =>
      azureStore({
        account: azure.account,
        container: change.container ?? container,
        prefix: change.prefix ?? prefix(),
        endpoint: change.endpoint ?? azure.endpoint,
        credentials: change.sas === undefined ? { accountKey: change.accountKey ?? azure.accountKey } : { sas: change.sas },
      }),
    artifactoryStore: (change = {}) =>
      artifactoryStore({
        repo: change.repo ?? artifactory.repo,
        prefix: change.prefix ?? prefix(),
        endpoint: change.endpoint ?? artifactory.endpoint,
        credentials: change.credentials ?? { token: artifactory.token },
      }),
    stop: async () => void (await Promise.all([s3.stop(), azure.stop(), artifactory.stop()])),
  };
}

/** The server forgets the keys, and learns them again. */
export async function endingS3(providers: Providers, endpoint: string) {
  const known = providers.s3.keys();
  const others = { accessKey: `other${randomBytes(6).toString("hex")}`, secretKey: randomBytes(20).toString("hex") };
  const { renewKeys } = providers.s3;
  return { store: providers.s3Store({ endpoint }), expire: () => renewKeys(others), restore: () => renewKeys(known) };
}

/** A SAS ends by the clock, which both sides share here. */
export async function endingAzure(providers: Providers, endpoint: string) {
  const { account, accountKey } = providers.azure;
  const container = await providers.azure.makeContainer();
  const key = new StorageSharedKeyCredential(account, accountKey);
  const expiresOn = new Date(Date.now() + 3000);
  const permissions = ContainerSASPermissions.parse("rcwdl");
  const sas = generateBlobSASQueryParameters({ containerName: container, permissions, expiresOn }, key).toString();
  const ended = async () => (await fetch(`${endpoint}/${container}?restype=container&comp=list&${sas}`)).status;
  return {
    store: providers.azureStore({ container, sas, endpoint }),
    expire: () => expect.poll(ended, { timeout: 20_000 }).toBe(403),
  };
}

/** Nobody is known for a while. */
export async function endingArtifactory({ artifactory, artifactoryStore }: Providers, endpoint: string) {
  const { username, password, revoke, restore } = artifactory;
  const store = artifactoryStore({ endpoint, credentials: { username, password } });
  return { store, expire: async () => revoke(), restore: async () => restore() };
}
