/**
 * Azure's Blob service as a location asks for it: who we are there, and what may be signed for others.
 *
 * The one idea: the SDK speaks, our own HTTP carries, so silence, certificates and connections are as everywhere. The SDK is loaded when the first store of
 * this kind is used: no process waits for it that has none.
 */
import type {
  BlobSASSignatureValues,
  ContainerClient,
  HttpOperationResponse,
  IHttpClient,
  StorageSharedKeyCredential,
  UserDelegationKey,
  WebResource,
} from "@azure/storage-blob";
import type { TokenCredential } from "@azure/identity";
import type { AzureCredentials } from "../domain/catalog/store-credentials.ts";
import { storeHttp } from "./http.ts";

export interface AzureOptions {
  readonly account: string;
  readonly container: string;
  /** Below which all keys lie: empty, or ending in "/". */
  readonly prefix: string;
  /** Another address than the public cloud's. */
  readonly endpoint?: string | undefined;
  /** The client id of a managed identity, where the computer has several. */
  readonly identity?: string | undefined;
  /** Certificates (PEM) that the server is known by. */
  readonly ca?: string | undefined;
  /** Null: the identity of the environment. */
  readonly credentials: AzureCredentials | null;
}

export interface AzureClient {
  readonly container: ContainerClient;
  /** An address that reads one blob until it ends, and nothing else; null where what we hold may not be handed on in part. */
  signedUrl(blob: string, expiresOn: Date): Promise<string | null>;
}

/** Node tells a store's silence after this: as long as for S3. */
const silentMs = 60_000;

export async function azureClient(options: AzureOptions): Promise<AzureClient> {
  const { account, container: name, credentials } = options;
  const library = await import("@azure/storage-blob");
  const endpoint = (options.endpoint ?? `https://${account}.blob.core.windows.net`).replace(/\/$/, "");
  const pipelineOptions = { httpClient: httpClient(options), retryOptions: { maxTries: 1 } };
  const open = (url: string, credential: StorageSharedKeyCredential | TokenCredential | undefined) =>
    new library.BlobServiceClient(url, library.newPipeline(credential ?? new library.AnonymousCredential(), pipelineOptions));
  const values = (blobName: string, expiresOn: Date): BlobSASSignatureValues => ({
    containerName: name,
    blobName,
    expiresOn,
    permissions: library.BlobSASPermissions.parse("r"),
    protocol: endpoint.startsWith("https:") ? library.SASProtocol.Https : library.SASProtocol.HttpsAndHttp,
  });
  const addressed = (container: ContainerClient, blob: string, query: { toString(): string }) =>
    `${container.getBlobClient(blob).url}?${query.toString()}`;

  if (credentials !== null && "sas" in credentials) {
    // Whoever got it would have all that it allows, so nothing is handed on.
    const container = open(`${endpoint}?${credentials.sas.replace(/^\?/, "")}`, undefined).getContainerClient(name);
    return { container, signedUrl: async () => null };
  }
  if (credentials !== null) {
    const key = new library.StorageSharedKeyCredential(account, credentials.accountKey);
    const container = open(endpoint, key).getContainerClient(name);
    const signedUrl = async (blob: string, expiresOn: Date) =>
      addressed(container, blob, library.generateBlobSASQueryParameters(values(blob, expiresOn), key));
    return { container, signedUrl };
  }
  const service = open(endpoint, await environmentIdentity(options.identity));
  const container = service.getContainerClient(name);
  const delegated = delegationKeys((from, to) => service.getUserDelegationKey(from, to));
  const signedUrl = async (blob: string, expiresOn: Date) =>
    addressed(container, blob, library.generateBlobSASQueryParameters(values(blob, expiresOn), await delegated(expiresOn), account));
  return { container, signedUrl };
}

/** What a computer of a hub may have: a service principal in variables, or a managed identity (a workload's token counts as one). */
async function environmentIdentity(clientId: string | undefined): Promise<TokenCredential> {
  const { ChainedTokenCredential, EnvironmentCredential, ManagedIdentityCredential } = await import("@azure/identity");
  const managed = clientId === undefined ? new ManagedIdentityCredential() : new ManagedIdentityCredential({ clientId });
  return new ChainedTokenCredential(new EnvironmentCredential(), managed);
}

/** Keys that sign for a while in the name of an identity. Asked for seldom: one outlives many grants of fifteen minutes. */
const keyLifeMs = 4 * 3_600_000;

function delegationKeys(ask: (from: Date, to: Date) => Promise<UserDelegationKey>) {
  let held: { key: Promise<UserDelegationKey>; until: number } | null = null;
  return (expiresOn: Date): Promise<UserDelegationKey> => {
    if (held && held.until >= expiresOn.getTime()) return held.key;
    const now = Date.now();
    // It begins in the past, since the service's clock may be behind ours.
    const key = ask(new Date(now - 5 * 60_000), new Date(now + keyLifeMs));
    const asked = { key, until: now + keyLifeMs };
    held = asked;
    key.catch(() => {
      if (held === asked) held = null;
    });
    return key;
  };
}

/** The SDK's requests by our own client. */
function httpClient({ ca, container, prefix }: AzureOptions): IHttpClient {
  const http = storeHttp(silentMs);
  return {
    sendRequest: async (request: WebResource): Promise<HttpOperationResponse> => {
      const { url, method, body, abortSignal } = request;
      const answer = await http.send({
        key: keyIn(url, container, prefix),
        method: method as "GET",
        url,
        headers: request.headers.rawHeaders(),
        body: body as Uint8Array | string | undefined,
        ca,
        signal: abortSignal instanceof AbortSignal ? abortSignal : new AbortController().signal,
      });
      const headers = request.headers.clone();
      for (const name of headers.headerNames()) headers.remove(name);
      for (const [name, value] of Object.entries(answer.headers)) if (value !== undefined) headers.set(name, String(value));
      const head = { request, status: answer.statusCode ?? 0, headers };
      const streamed = request.streamResponseStatusCodes;
      if (streamed?.has(head.status) === true || (streamed?.has(Infinity) === true && head.status < 300))
        return { ...head, readableStreamBody: answer };
      return { ...head, bodyAsText: Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>)).toString() };
    },
  };
}

/** What a fault names: the address itself may carry a signature. */
function keyIn(url: string, container: string, prefix: string): string {
  const { pathname } = new URL(url);
  const inside = `/${container}/${prefix}`;
  const at = pathname.indexOf(inside);
  return at < 0 || pathname.length === at + inside.length ? `the container ${container}` : pathname.slice(at + inside.length);
}
