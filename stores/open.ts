/**
 * Opens the store at a location.
 *
 * The one idea: the only place that knows which provider a location means; whoever holds a store cannot tell.
 */
import type { StoreLocation } from "../domain/catalog/store-location.ts";
import { credentialsFor, type StoreCredentials } from "../domain/catalog/store-credentials.ts";
import { unwrap } from "../domain/errors.ts";
import { artifactoryStore } from "./artifactory.ts";
import { readAuthority } from "./authority.ts";
import { azureStore } from "./azure.ts";
import { folderStore } from "./folder.ts";
import type { ObjectStore } from "./object-store.ts";
import { s3Store } from "./s3.ts";

export function openStore(location: StoreLocation, credentials: StoreCredentials | null): ObjectStore {
  switch (location.kind) {
    case "folder":
      // Rows of former releases may hold keys that stood in the configuration.
      return folderStore(location.path);
    case "s3": {
      const { kms_key: kmsKey, ca, ...place } = location;
      return s3Store({ ...place, kmsKey, ca: readAuthority(ca), credentials: unwrap(credentialsFor("s3", credentials)) });
    }
    case "azure":
      return azureStore({ ...location, ca: readAuthority(location.ca), credentials: unwrap(credentialsFor("azure", credentials)) });
    case "artifactory":
      return artifactoryStore({
        ...location,
        ca: readAuthority(location.ca),
        credentials: unwrap(credentialsFor("artifactory", credentials)),
      });
  }
}
