/**
 * The wire's caches: which images hosts have on disk, ready to clone.
 *
 * The one idea: hosts report digests, and the catalog knows which versions those are; what no version names any more is bytes and no image.
 */
import { z } from "zod";
import { findHost, listHosts } from "../../db/hosts.ts";
import type { Host } from "../../domain/hosts/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { CachePrune } from "../../domain/catalog/caching.ts";
import { CatalogManifest, wireManifest } from "../catalog/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { namedHost } from "./scope.ts";
import { withCaches } from "./seen-cache.ts";

const mebibyte = 1024 ** 2;
const CachedManifest = CatalogManifest.extend({
  cache_date: z.string().optional(),
  cache_local_path: z.string().optional(),
  cache_file_name: z.string().optional(),
  cache_type: z.string().optional(),
  cache_size: z.int().optional(),
  cache_last_used: z.string().optional(),
});
const CatalogManifestList = z
  .object({ total_size: z.int().meta({ description: "In MB." }), manifests: z.array(CachedManifest) })
  .meta({ id: "VirtualMachineCatalogManifestList" });

export function cacheWireRoutes(hub: Hub, ofHost: Mount, orchestrator: Mount): void {
  const common = { tag: "cache", status: 200, reply: CatalogManifestList } as const;
  for (const path of ["/cache", "/catalog/cache"])
    ofHost("get", path, "List the images in a host's cache", { ...common, needs: { claims: ["LIST_CACHE"] } }, async (call) => {
      const host = await namedHost(hub, call);
      return cacheOf(hub, call, host ? [host] : await listHosts(hub.db));
    });
  for (const path of ["/orchestrator/hosts/{id}/cache", "/orchestrator/hosts/{id}/catalog/cache"])
    orchestrator("get", path, "List the images in a host's cache", { ...common, needs: { claims: ["LIST_CACHE"] } }, async (call) =>
      cacheOf(hub, call, [unwrap(await findHost(hub.db, call.param("id")))]),
    );
  deleteRoutes(hub, ofHost, orchestrator);
}

/** What operations use and what is pinned stays, which the wire's clients cannot know: 202 says that the rest goes. */
function deleteRoutes(hub: Hub, ofHost: Mount, orchestrator: Mount): void {
  const all = { tag: "cache", status: 202, needs: { claims: ["DELETE_ALL_CACHE"], hubWide: true } } as const;
  const item = { tag: "cache", status: 202, needs: { claims: ["DELET_CACHE_ITEM"], hubWide: true } } as const;
  const named = async (call: Call<unknown>) => {
    const host = await namedHost(hub, call);
    return host ? [host] : listHosts(hub.db);
  };
  const one = async (call: Call<unknown>) => [unwrap(await findHost(hub.db, call.param("id")))];
  for (const [mount, base, hostsOf, id, version] of [
    [ofHost, "/cache", named, "catalogId", "version"],
    [ofHost, "/catalog/cache", named, "catalogId", "version"],
    [orchestrator, "/orchestrator/hosts/{id}/cache", one, "catalog_id", "catalog_version"],
    [orchestrator, "/orchestrator/hosts/{id}/catalog/cache", one, "catalog_id", "catalog_version"],
  ] as const) {
    mount("delete", base, "Clear a host's cache", all, async (call) => prune(hub, call, await hostsOf(call)));
    mount("delete", `${base}/{${id}}`, "Remove all versions of an image from a host's cache", item, async (call) =>
      prune(hub, call, await hostsOf(call), { catalogId: call.param(id) }),
    );
    mount("delete", `${base}/{${id}}/{${version}}`, "Remove an image from a host's cache", item, async (call) =>
      prune(hub, call, await hostsOf(call), { catalogId: call.param(id), version: call.param(version) }),
    );
  }
}

async function prune(
  hub: Hub,
  { asked }: Call<unknown>,
  hosts: readonly Host[],
  image?: { catalogId: string; version?: string },
): Promise<void> {
  const wanted = CachePrune.safeParse(image ? { images: [image] } : {});
  if (!wanted.success) throw refusal(400, `Invalid request: ${wanted.error.issues.map(({ message }) => message).join("; ")}`);
  for (const { id } of hosts) unwrap(await hub.operations.prune(id, wanted.data, asked));
}

async function cacheOf(
  hub: Hub,
  { actor }: Pick<Call<unknown>, "actor">,
  all: readonly Host[],
): Promise<z.input<typeof CatalogManifestList>> {
  const { hosts, images } = await withCaches(hub, actor, all);
  const cached = hosts.flatMap((host) => host.cached);
  const manifests = images.flatMap((image) => {
    const [one] = cached.filter(({ digest }) => digest === image.digest);
    return one ? [{ ...wireManifest(image), ...cacheFields(one) }] : [];
  });
  return { total_size: Math.round(cached.reduce((sum, { bytes }) => sum + bytes, 0) / mebibyte), manifests };
}

/** A host does not say when an image came, only when it was used last. */
const cacheFields = ({ digest, bytes, lastUsedAt }: Host["cached"][number]) => ({
  cache_date: lastUsedAt,
  cache_local_path: "/",
  cache_file_name: digest,
  cache_type: "folder",
  ...present({ cache_size: Math.round(bytes / mebibyte) }),
  cache_last_used: lastUsedAt,
});
