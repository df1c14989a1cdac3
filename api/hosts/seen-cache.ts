/**
 * What somebody is shown of the caches of hosts, which serve all projects.
 *
 * The one idea: whoever may clear a cache sees all that lies in it, since it may be what fills the disk; all others see the images that they may see, and of
 * the rest not even the digest, by which an image could be known again.
 */
import { mayUse } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { maySee } from "../../domain/catalog/rules.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import type { Host } from "../../domain/hosts/schema.ts";
import { imagesOfDigests } from "../../db/images.ts";
import type { Hub } from "../ports.ts";

const clearing = { claims: ["DELETE_ALL_CACHE", "DELET_CACHE_ITEM"], any: true, hubWide: true } as const;

/** The images of the caller's project that lie there and that it may see. */
async function seenImages({ db }: Pick<Hub, "db">, actor: Actor, hosts: readonly Host[]): Promise<ImageVersion[]> {
  const digests = [...new Set(hosts.flatMap(({ cached }) => cached.map(({ digest }) => digest)))];
  const versions = await imagesOfDigests(db, actor.project, digests);
  return versions.filter((image) => maySee(image, { ...actor, everything: actor.isSuperUser }));
}

const seesAll = (actor: Actor): boolean => mayUse(actor, clearing).ok;

function withSeen(hosts: readonly Host[], images: readonly ImageVersion[], actor: Actor): Host[] {
  if (seesAll(actor)) return [...hosts];
  const seen = new Set(images.map(({ digest }) => digest));
  return hosts.map((host) => ({ ...host, cached: host.cached.filter(({ digest }) => seen.has(digest)) }));
}

/** The hosts with what the caller is shown of their caches, and the names for it. */
export async function withCaches(hub: Pick<Hub, "db">, actor: Actor, hosts: readonly Host[]) {
  const images = await seenImages(hub, actor, hosts);
  return { hosts: withSeen(hosts, images, actor), images };
}

/** The same where no names are needed. */
export const asSeen = async (hub: Pick<Hub, "db">, actor: Actor, hosts: readonly Host[]): Promise<Host[]> =>
  seesAll(actor) ? [...hosts] : (await withCaches(hub, actor, hosts)).hosts;
