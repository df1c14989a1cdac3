/**
 * A repository of Artifactory as a location asks for it: addresses, credentials, and what its answers mean.
 *
 * The one idea: its own words are for people and may repeat what was sent, so a fault tells its status and nothing else of them.
 */
import type { IncomingMessage } from "node:http";
import type { ArtifactoryCredentials } from "../domain/catalog/store-credentials.ts";
import type { FaultError } from "../domain/errors.ts";
import { objectMissing, storeDenied, storeUnavailable } from "./faults.ts";
import { storeHttp, type StoreHttp, type StoreRequest } from "./http.ts";
import { checkKey } from "./object-store.ts";
import { retryAfterMs } from "./retry.ts";

export interface ArtifactoryOptions {
  readonly repo: string;
  /** Below which all keys lie: empty, or ending in "/". */
  readonly prefix: string;
  /** Up to and with the context path: `https://example.jfrog.io/artifactory`. */
  readonly endpoint: string;
  /** Certificates (PEM) that the server is known by. */
  readonly ca?: string | undefined;
  readonly credentials: ArtifactoryCredentials;
}

export interface ArtifactoryPlace extends ArtifactoryOptions {
  readonly http: StoreHttp;
}

/** As long as for the other providers. */
const usualSilentMs = 60_000;

export const artifactoryPlace = (options: ArtifactoryOptions, silentMs = usualSilentMs): ArtifactoryPlace => ({
  ...options,
  endpoint: options.endpoint.replace(/\/$/, ""),
  http: storeHttp(silentMs),
});

/** Encoded by segment: what a name of another service holds must not read as a parameter. */
export const pathOf = ({ repo, prefix }: ArtifactoryPlace, key: string): string =>
  `/${repo}/${prefix}${checkKey(key).split("/").map(encodeURIComponent).join("/")}`;

interface Ask extends Pick<StoreRequest, "key" | "method" | "body"> {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export function asked({ http, endpoint, credentials, ca }: ArtifactoryPlace, ask: Ask): Promise<IncomingMessage> {
  const { key, method, body, path, headers = {}, signal = new AbortController().signal } = ask;
  return http.send({ key, method, body, ca, signal, url: `${endpoint}${path}`, headers: { ...headers, ...authorised(credentials) } });
}

function authorised(credentials: ArtifactoryCredentials): Record<string, string> {
  if ("apiKey" in credentials) return { "x-jfrog-art-api": credentials.apiKey };
  if ("token" in credentials) return { authorization: `Bearer ${credentials.token}` };
  return { authorization: `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}` };
}

export async function refusal(key: string, answer: IncomingMessage): Promise<FaultError> {
  const { statusCode: status = 0, headers } = answer;
  await textOf(key, answer).catch(() => "");
  if (status === 404) return objectMissing(key);
  if (status === 401 || status === 403) return storeDenied(key, status === 401 ? "it does not know the credentials" : "no permission");
  return storeUnavailable(key, `it answered ${status}`, undefined, retryAfterMs(headers["retry-after"]));
}

export async function textOf(key: string, answer: IncomingMessage): Promise<string> {
  try {
    return Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>)).toString();
  } catch (cause) {
    throw storeUnavailable(key, "its answer broke off", cause);
  }
}
