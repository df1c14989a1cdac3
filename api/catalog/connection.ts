/**
 * The store that a connection string of the wire names.
 *
 * The one idea: a string becomes the location of a store and its secret, apart; another catalog (`host=`) means our own, since there is one catalog here.
 */
import type { StoreCredentials } from "../../domain/catalog/store-credentials.ts";
import { formatStoreLocation, type StoreLocation } from "../../domain/catalog/store-location.ts";
import { refusal } from "../wire/errors.ts";
import { isOn, parseConnection, type Connection } from "./connection-string.ts";

export interface NamedStore {
  readonly location: string;
  readonly credentials: StoreCredentials | null;
}

/** Null: the default store. */
export function storeIn(text: string): NamedStore | null {
  const connection = parseConnection(text);
  if (!connection.ok) throw refusal(400, `Error pushing manifest: ${connection.fault.message}`);
  const found = storeOf(connection.value);
  return found && { location: formatStoreLocation(found.location), credentials: found.credentials };
}

function storeOf({ provider, parts }: Connection): { location: StoreLocation; credentials: StoreCredentials | null } | null {
  const part = (name: string): string => parts[name] ?? "";
  if (provider === null) return null;
  if (provider === "local-storage")
    return part("catalog_path") === "" ? null : { location: { kind: "folder", path: part("catalog_path") }, credentials: null };
  if (provider === "azure-storage-account") {
    const location = { kind: "azure", account: part("storage_account_name"), container: part("container_name"), prefix: "" } as const;
    return { location, credentials: { accountKey: part("storage_account_key") } };
  }
  if (provider === "artifactory") {
    const location = { kind: "artifactory", repo: part("repo"), prefix: "", endpoint: contextOf(part("url")) } as const;
    const byKey = part("access_key") !== "";
    return {
      location,
      credentials: byKey ? { apiKey: part("access_key") } : { username: part("username"), password: part("password") },
    };
  }
  const endpoint = provider === "minio" ? { endpoint: endpointOf(part("endpoint"), isOn(parts["use_ssl"])) } : {};
  const region = provider === "minio" ? "us-east-1" : part("region");
  return { location: { kind: "s3", bucket: part("bucket"), prefix: "", region, ...endpoint }, credentials: keysIn(parts) };
}

function keysIn(parts: Connection["parts"]): StoreCredentials | null {
  const { access_key: accessKeyId, secret_key: secretAccessKey, session_token: sessionToken } = parts;
  if (isOn(parts["use_environment_authentication"]) || !accessKeyId || !secretAccessKey) return null;
  return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
}

const endpointOf = (endpoint: string, tls: boolean): string => `${tls ? "https" : "http"}://${endpoint.replace(/^\w+:\/\//, "")}`;

/** Clients name the server; its context path follows where it is not written. */
function contextOf(url: string): string {
  const whole = (/^https?:\/\//i.test(url) ? url : `https://${url}`).replace(/\/+$/, "");
  return whole.endsWith("/artifactory") ? whole : `${whole}/artifactory`;
}
