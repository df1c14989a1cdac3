/**
 * The wire's records of versions whose bytes somebody else wrote: registered with the store that they lie in, and given other credentials for it.
 *
 * The one idea: a record without bytes is worth nothing, so registering is an import, and a connection changes how a version's store is reached, never which.
 */
import { z } from "zod";
import { findImageById } from "../../db/images.ts";
import { findStore } from "../../db/stores.ts";
import { imageName } from "../../domain/catalog/rules.ts";
import { formatStoreLocation, parseStoreLocation } from "../../domain/catalog/store-location.ts";
import { unwrap } from "../../domain/errors.ts";
import type { Hub } from "../ports.ts";
import { aboutImage, telling } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import type { Mount } from "../wire/mount.ts";
import { storeIn } from "./connection.ts";
import { imported } from "./import-wire.ts";
import { CatalogManifest, CatalogManifestRecord, wireManifest, wireRecord } from "./wire.ts";
import { mustFind } from "./wire-routes.ts";

const text = z.string().default("");
const Provider = z.object({ type: text, meta: z.record(z.string(), z.string()).default({}) });
const VirtualMachineCatalogManifest = z
  .object({ catalog_id: text, version: text, architecture: text, provider: Provider.optional() })
  .meta({ id: "VirtualMachineCatalogManifest" });
const ConnectionPatch = z.object({ connection: text }).meta({ id: "CatalogManifestConnectionPatch" });

const tag = "catalog";

export function manifestWireRoutes(hub: Hub, mount: Mount): void {
  mount(
    "post",
    "/catalog",
    "Register a version whose files lie in a store already",
    {
      tag,
      needs: { claims: ["CREATE_CATALOG_MANIFEST"] },
      status: 200,
      body: VirtualMachineCatalogManifest,
      reply: CatalogManifest,
    },
    async (call) => {
      const { catalog_id, version, architecture, provider } = call.body;
      const lacks = (what: string) => refusal(400, `Invalid request body: error 400: ${what} is required`);
      if (catalog_id === "") throw lacks("Catalog ID");
      if (architecture === "") throw lacks("Architecture");
      if (!provider || provider.type === "") throw lacks("provider: where its files lie");
      const connection = [["provider", provider.type], ...Object.entries(provider.meta)].map((pair) => pair.join("=")).join(";");
      const body = { catalog_id, version: version || "latest", architecture, connection };
      const { id } = await imported(hub, { ...call, body }, { archive: null, replace: true, what: "manifest" });
      return wireManifest(unwrap(await findImageById(hub.db, id)));
    },
  );
  mount(
    "patch",
    "/catalog/{catalogId}/{version}/{architecture}/connection",
    "Give the store of a version other credentials",
    { tag, needs: { claims: ["CATALOG_MANAGER_UPDATE"] }, status: 200, body: ConnectionPatch, reply: CatalogManifestRecord },
    async (call) => {
      const { connection } = call.body;
      if (connection.trim() === "") throw refusal(400, "No connection provided");
      const image = await mustFind(hub, call);
      const named = storeIn(connection);
      if (!named) throw refusal(400, "error 400: the connection names no provider");
      const store = unwrap(await findStore(hub.db, image.storeId));
      if (formatStoreLocation(unwrap(parseStoreLocation(named.location))) !== store.location)
        throw refusal(
          400,
          `error 400: the bytes of ${imageName(image)} lie in the store ${store.name}; push the version to the other one instead`,
        );
      // The store is everybody's: whoever could change its credentials could cut all others off from it.
      if (!call.actor.isSuperUser) throw refusal(403, "error 403: only a super user changes a store's credentials");
      unwrap(await hub.stores.add(named, call.actor));
      return telling(hub, call.asked, aboutImage("changed", image), async () => wireRecord(image));
    },
  );
}
