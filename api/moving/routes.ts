/**
 * `/import/devops`: an installation of the Parallels DevOps service moves in, as its own database tells it.
 *
 * The one idea: a dry run does all of it in the same transaction and takes it back at the end, so what it tells is what would happen.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { recordAudit } from "../../db/audit.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { readDevops, type DevopsDatabase } from "../../domain/moving/devops.ts";
import { MovingReport, type Moved } from "../../domain/moving/report.ts";
import { faults, json } from "../http.ts";
import { authorised, mustStillBe } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, routesOf } from "../route.ts";
import { moveImages } from "./images.ts";
import { movePeople } from "./people.ts";
import { moveThings } from "./things.ts";
import type { Asked } from "../../control/start.ts";

const NewMove = z
  .object({
    database: z.record(z.string(), z.unknown()).meta({ description: "The document `data.json`, or parts of it." }),
    dryRun: z.boolean().default(false),
    host: z.string().min(1).max(128).nullable().default(null).meta({ description: "The host that its own proxy hosts are for." }),
  })
  .meta({ id: "NewMove" });

export function movingRoutes(hub: Hub) {
  const move = createRoute({
    method: "post",
    path: "/import/devops",
    operationId: "importDevops",
    summary: "Take over an installation of the Parallels DevOps service",
    tags: ["moving in"],
    middleware: authorised(hub, { superUser: true }),
    request: { body: { required: true, ...json(NewMove, "Its database.") } },
    responses: { 200: json(MovingReport, "What came of it, or would."), ...faults() },
  });
  return routesOf().openapi(move, async (c) => {
    const { database, dryRun, host } = c.req.valid("json");
    const read = unwrap(readDevops(database));
    // Each import of an image is an operation of its own, and no request that may be repeated by a key.
    const { idempotency: _, ...asked } = askedBy(c);
    const rows = await moveRows(hub, read.database, { asked, dryRun, host });
    const signal = AbortSignal.any([c.req.raw.signal, hub.closing]);
    const images = await moveImages(hub, read.database.catalog_manifests, {
      asked,
      dryRun,
      signal,
      check: async () => void (await mustStillBe(hub, c)),
    });
    return c.json({ dryRun, items: [...read.left, ...rows, ...images], unknown: [...read.unknown] }, 200);
  });
}

/** Takes a transaction back that did what it should. */
const takenBack = new FaultError({ code: "internal", message: "A dry run changes nothing." });

async function moveRows(hub: Hub, data: DevopsDatabase, how: { asked: Asked; dryRun: boolean; host: string | null }): Promise<Moved[]> {
  const items: Moved[] = [];
  const { actor, requestId, source } = how.asked;
  const { project, username } = actor;
  try {
    await hub.db.transaction(async (tx) => {
      const tell = (kind: Moved["kind"], name: string, what: Moved["what"], note = "") => void items.push({ kind, name, what, note });
      const moving = { tx, hub, project, data, tell };
      await moveThings(moving, await movePeople(moving), how.host);
      if (how.dryRun) throw takenBack;
      const added = items.filter(({ what }) => what === "added").length;
      await recordAudit(tx, { actor: username, action: "import.devops", subject: `${added} records`, outcome: "done", requestId, source });
    });
  } catch (error) {
    if (error !== takenBack) throw error;
  }
  hub.reads.rights.tell();
  return items;
}
