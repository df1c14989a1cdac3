/**
 * An image as one file: what another hub copies, and what people keep or carry.
 *
 * The one idea: the bytes are made as they are read, so a download costs the hub no disk and begins at once; whoever reads slowly slows only itself, and
 * whoever goes away ends it.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { countDownload, findImage } from "../../db/images.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { imageName, mayPull, maySee, type ImageKey } from "../../domain/catalog/rules.ts";
import { Architecture, CatalogId, Version, type ImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { faults } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { routesOf } from "../route.ts";
import { archiveHeaders, streamOf } from "./archive-stream.ts";

export function archiveDownload(hub: Hub) {
  const get = createRoute({
    method: "get",
    path: "/images/{catalogId}/{version}/{architecture}/archive",
    operationId: "downloadImage",
    summary: "Download an image as one archive, as the Parallels DevOps service keeps it",
    tags: ["images"],
    middleware: authorised(hub, { claims: ["PULL_CATALOG_MANIFEST"] }),
    request: {
      params: z.object({ catalogId: CatalogId, version: Version, architecture: Architecture }),
      query: z.object({
        compress: z
          .enum(["true", "false"])
          .default("true")
          .meta({ description: "Whether the tar is gzipped; what is an archive already stays as it is." }),
      }),
    },
    responses: {
      200: {
        description: "A tar, gzipped or plain. An answer that ends early is no archive: its connection breaks.",
        content: { "application/octet-stream": { schema: z.string().meta({ format: "binary" }) } },
      },
      ...faults(
        "image_not_found",
        "image_tainted",
        "image_revoked",
        "archive_invalid",
        "store_object_missing",
        "store_unavailable",
        "store_denied",
      ),
    },
  });
  return routesOf().openapi(get, async (c) => {
    const image = await mayHave(hub, actorOf(c), c.req.valid("param"));
    const signal = AbortSignal.any([c.req.raw.signal, hub.closing]);
    const { bytes, content } = await hub.archiveOf(image, { compress: c.req.valid("query").compress === "true", signal });
    await countDownload(hub.db, image.id, actorOf(c).username);
    return c.body(streamOf(content), 200, archiveHeaders(`${image.catalogId}-${image.architecture}-${image.version}`, bytes));
  });
}

async function mayHave({ db }: Hub, actor: Actor, key: ImageKey): Promise<ImageVersion> {
  const found = await findImage(db, actor.project, key);
  if (!found.ok || !maySee(found.value, { ...actor, everything: actor.isSuperUser }))
    throw new FaultError({ code: "image_not_found", message: `There is no image ${imageName(key)}.`, subject: imageName(key) });
  unwrap(mayPull(found.value));
  return found.value;
}
