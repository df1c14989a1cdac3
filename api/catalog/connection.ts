/**
 * The wire's connection strings: `key=value` joined by `;`, which name a store, another catalog, or both.
 *
 * The one idea: a string becomes the location of a store and its secret, apart; another catalog (`host=`) means our own, since there is one catalog here.
 */
import { refusal } from "../wire/errors.ts";

export interface NamedStore {
  readonly location: string;
  readonly accessKey?: string;
  readonly secretKey?: string;
}

/** Null: the default store. */
export function storeIn(connection: string): NamedStore | null {
  const parts = new Map(
    connection
      .split(";")
      .flatMap((part) =>
        part.includes("=")
          ? [[part.slice(0, part.indexOf("=")).trim().toLowerCase(), part.slice(part.indexOf("=") + 1).trim()] as const]
          : [],
      ),
  );
  const provider = parts.get("provider");
  if (provider === undefined) return null;
  const must = (key: string): string => {
    const value = parts.get(key);
    if (value) return value;
    throw refusal(400, `Error pushing manifest: the ${provider} connection lacks ${key}`);
  };
  const keys = () => ({ accessKey: must("access_key"), secretKey: must("secret_key") });
  if (provider === "local-storage") return parts.get("catalog_path") ? { location: `folder:${must("catalog_path")}` } : null;
  if (provider === "aws-s3") return { location: `s3://${must("bucket")}?region=${encodeURIComponent(must("region"))}`, ...keys() };
  if (provider === "minio")
    return {
      location: `s3://${must("bucket")}?endpoint=${encodeURIComponent(endpointOf(must("endpoint"), parts.get("use_ssl") === "true"))}`,
      ...keys(),
    };
  // Only a word is repeated: somebody may have put a key where the provider belongs.
  throw refusal(
    400,
    `Error pushing manifest: no remote service found for the provider ${/^[a-z-]{1,30}$/.test(provider) ? provider : ""}`.trimEnd(),
  );
}

const endpointOf = (endpoint: string, tls: boolean): string => `${tls ? "https" : "http"}://${endpoint.replace(/^\w+:\/\//, "")}`;
