/**
 * `/images/{catalogId}/{version}/{architecture}/...`: what becomes of a version after it was pushed: tags, words, taint, revocation.
 *
 * The one idea: every change is one transaction with its event and its audit record, by the same functions that the wire's routes call.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { changeTags, changeVersion, markVersion } from "../../db/images.ts";
import { ImageChange, Tag } from "../../domain/catalog/care.ts";
import { ImageVersion } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { withoutAbsent } from "../../domain/fields.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, routesOf } from "../route.ts";
import { aboutImage, telling } from "../told.ts";
import { imageKey, visibleImage } from "./visible.ts";

const tags = ["images"];
const path = "/images/{catalogId}/{version}/{architecture}";
const changed = { 200: json(ImageVersion, "As it is now."), ...faults("image_not_found") };

export const imageChangeRoutes = (hub: Hub) =>
  routesOf().route("/", editRoutes(hub)).route("/", tagRoutes(hub)).route("/", markRoutes(hub));

function editRoutes(hub: Hub) {
  const edit = createRoute({
    method: "patch",
    path,
    operationId: "editImage",
    summary: "Change what is told of an image version, and who may have it",
    tags,
    middleware: authorised(hub, { claims: ["CATALOG_MANAGER_UPDATE"] }),
    request: { params: imageKey, body: { required: true, ...json(ImageChange, "What is to be otherwise.") } },
    responses: changed,
  });

  return routesOf().openapi(edit, async (c) => {
    const image = await visibleImage(hub, c.req.valid("param"), actorOf(c));
    const changes = withoutAbsent(c.req.valid("json"));
    return c.json(await telling(hub, askedBy(c), aboutImage("changed", image), (tx) => changeVersion(tx, image.id, changes)), 200);
  });
}

function tagRoutes(hub: Hub) {
  const mayChange = authorised(hub, { claims: ["CATALOG_MANAGER_UPDATE"] });
  const params = imageKey.extend({ tag: Tag });
  const tag = createRoute({
    method: "put",
    path: `${path}/tags/{tag}`,
    operationId: "tagImage",
    summary: "Point a tag to an image version; the version of this catalog id and architecture that had it loses it",
    tags,
    middleware: mayChange,
    request: { params },
    responses: changed,
  });
  const untag = createRoute({
    method: "delete",
    path: `${path}/tags/{tag}`,
    operationId: "untagImage",
    summary: "Take a tag from an image version; succeeds when it has no such tag",
    tags,
    middleware: mayChange,
    request: { params },
    responses: changed,
  });

  return routesOf()
    .openapi(tag, async (c) => {
      const { tag: word, ...key } = c.req.valid("param");
      const image = await visibleImage(hub, key, actorOf(c));
      return c.json(await telling(hub, askedBy(c), aboutImage("changed", image), (tx) => changeTags(tx, image, { add: [word] })), 200);
    })
    .openapi(untag, async (c) => {
      const { tag: word, ...key } = c.req.valid("param");
      const image = await visibleImage(hub, key, actorOf(c));
      return c.json(await telling(hub, askedBy(c), aboutImage("changed", image), (tx) => changeTags(tx, image, { remove: [word] })), 200);
    });
}

const marked = { taint: "tainted", untaint: "untainted", revoke: "revoked" } as const;
const summaries = {
  taint: "Hold an image version back: nobody gets it until the taint is removed",
  untaint: "Hand a tainted image version out again",
  revoke: "Revoke an image version for good",
} as const;

function markRoutes(hub: Hub) {
  const mark = createRoute({
    method: "post",
    path: `${path}/{mark}`,
    operationId: "markImage",
    summary: "Taint, untaint or revoke an image version",
    description: Object.entries(summaries)
      .map(([word, summary]) => `\`${word}\`: ${summary}.`)
      .join(" "),
    tags,
    middleware: authorised(hub, { superUser: true }),
    request: { params: imageKey.extend({ mark: z.enum(["taint", "untaint", "revoke"]) }) },
    responses: changed,
  });

  return routesOf().openapi(mark, async (c) => {
    const { mark: word, ...key } = c.req.valid("param");
    const actor = actorOf(c);
    const image = await visibleImage(hub, key, actor);
    const told = aboutImage(marked[word], image);
    return c.json(await telling(hub, askedBy(c), told, async (tx) => unwrap(await markVersion(tx, image.id, word, actor.username))), 200);
  });
}
