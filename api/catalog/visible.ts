/** An image version as its reader may see it: what may not be seen does not exist. */
import { z } from "zod";
import { findImage } from "../../db/images.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { imageName, maySee, type ImageKey } from "../../domain/catalog/rules.ts";
import { Architecture, CatalogId, Version, type ImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import type { Hub } from "../ports.ts";

export const imageKey = z.object({ catalogId: CatalogId, version: Version, architecture: Architecture });

export async function visibleImage(hub: Pick<Hub, "db">, wanted: ImageKey, actor: Actor): Promise<ImageVersion> {
  const image = unwrap(await findImage(hub.db, actor.project, wanted));
  if (maySee(image, { ...actor, everything: actor.isSuperUser })) return image;
  const name = imageName(wanted);
  throw new FaultError({ code: "image_not_found", message: `There is no image ${name}.`, subject: name });
}
