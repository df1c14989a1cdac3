/**
 * A machine as one file.
 *
 * The one idea: its bundle is pushed as any other, under a name that nobody else sees, and read back as an archive; the version is gone before the first
 * byte travels, and what it pointed to outlives the download by the grace that every collection keeps.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { deleteVersion, findImageById } from "../../db/images.ts";
import { findMachine } from "../../db/machines.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { archiveHeaders, streamOf } from "../catalog/archive-stream.ts";
import { faults } from "../http.ts";
import { actorOf, authorised, mustStillBe } from "../middleware/authorise.ts";
import { settled } from "../operations/settled.ts";
import { wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { mustBeDone } from "./act.ts";
import { askedBy, routesOf } from "../route.ts";

export function machineArchive(hub: Hub) {
  const make = createRoute({
    method: "post",
    path: "/machines/{idOrName}/archive",
    operationId: "downloadMachine",
    summary: "Download a stopped machine as one archive, as the Parallels DevOps service keeps images",
    tags: ["machines"],
    middleware: authorised(hub, { claims: ["LIST_VM", "PUSH_CATALOG_MANIFEST", "PULL_CATALOG_MANIFEST"] }),
    request: {
      params: z.object({ idOrName: z.string().min(1).max(200) }),
      query: z.object({ compress: z.enum(["true", "false"]).default("true") }),
    },
    responses: {
      200: {
        description: "A tar, gzipped or plain, after the time that a push of the machine takes.",
        content: { "application/octet-stream": { schema: z.string().meta({ format: "binary" }) } },
      },
      ...faults(
        "machine_not_found",
        "machine_state",
        "bundle_refused",
        "archive_invalid",
        "store_object_missing",
        "store_unavailable",
        "store_denied",
      ),
    },
  });
  return routesOf().openapi(make, async (c) => {
    const actor = actorOf(c);
    const { id, name, hostId, bundlePath } = unwrap(await findMachine(hub.db, c.req.valid("param").idOrName, { reader: actor }));
    if (hostId === null || bundlePath === null)
      throw new FaultError({ code: "machine_state", message: `${name} has no files on any host yet.`, subject: name });
    const claim = `MACHINE_${id.toUpperCase()}`;
    const words = { catalogId: `machine-${id}`, version: crypto.randomUUID(), description: name.slice(0, 4096), requiredClaims: [claim] };
    const wanted = NewImageVersion.parse({ path: bundlePath, hostId, ...words, probe: { kind: "none" }, onFault: "fail" });
    const asked = { ...askedBy(c), actor: { ...actor, claims: [...actor.claims, claim] } };
    const begun = unwrap(await hub.operations.push(wanted, asked));
    const signal = AbortSignal.any([c.req.raw.signal, hub.closing]);
    const done = mustBeDone(c, await settled(hub, begun.id, signal, async () => void (await mustStillBe(hub, c))));
    const image = unwrap(await findImageById(hub.db, wordIn(done.result, "imageVersionId") ?? ""));
    const { bytes, content } = await hub.archiveOf(image, { compress: c.req.valid("query").compress === "true", signal });
    await hub.db.transaction((tx) => deleteVersion(tx, image));
    return c.body(streamOf(content), 200, archiveHeaders(`machine-${id}`, bytes));
  });
}
