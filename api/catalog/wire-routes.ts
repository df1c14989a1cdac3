/**
 * The wire's catalog: list, push, pull, mark, edit, remove.
 *
 * The one idea: a version that its reader may not see does not exist for that reader, on every route alike.
 */
import { z } from "zod";
import { changeVersion, countDownload, deleteVersion, findImageById, listImages, markVersion } from "../../db/images.ts";
import { architectureOf, mayPull, normalise } from "../../domain/catalog/rules.ts";
import { type ImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { withoutAbsent } from "../../domain/fields.ts";
import type { Hub } from "../ports.ts";
import { aboutImage, telling } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { importWireRoutes } from "./import-wire.ts";
import { isService, placeFor } from "./service-archives.ts";
import { transferRoutes } from "./transfers.ts";
import {
  CatalogManifest,
  CatalogManifestPatch,
  CatalogManifestRecord,
  grouped,
  GroupedCatalog,
  UpdateCatalogManifestMetadataRequest,
  wireManifest,
  wireRecord,
} from "./wire.ts";

const tag = "catalog";
const oneVersion = "/catalog/{catalogId}/{version}/{architecture}";
/** The wire has no pages. */
const everything = 10_000;

export function catalogWireRoutes(hub: Hub, mount: Mount): void {
  transferRoutes(hub, mount);
  importWireRoutes(hub, mount);
  listRoutes(hub, mount);
  removeRoutes(hub, mount);
  markRoutes(hub, mount);
  editRoutes(hub, mount);
}

type Asking = Pick<Call<unknown>, "actor" | "param">;

async function visible(hub: Hub, { actor }: Pick<Asking, "actor">): Promise<ImageVersion[]> {
  const { items } = await listImages(
    hub.db,
    { project: actor.project, ...(actor.isSuperUser ? {} : { visibleTo: actor }) },
    { limit: everything },
  );
  return items;
}

/** Versions that the path means: by catalog id, by the version's id, or by its whole name. */
async function named(hub: Hub, call: Asking): Promise<ImageVersion[]> {
  const [word, version, architecture] = [call.param("catalogId"), call.param("version"), call.param("architecture")].map((part) =>
    part.toLowerCase(),
  );
  const known = architectureOf(architecture ?? "") ?? architecture;
  return (await visible(hub, call)).filter((image) => {
    const whole = `${image.catalogId}-${image.architecture}-${image.version}`;
    const fits = image.catalogId === normalise(word ?? "") || image.id === word || whole === word;
    return fits && (!version || image.version === normalise(version)) && (!known || image.architecture === known);
  });
}

export async function mustFind(hub: Hub, call: Asking): Promise<ImageVersion> {
  const [image] = await named(hub, call);
  if (image) return image;
  throw new FaultError({ code: "image_not_found", message: "There is no such image." });
}

function listRoutes(hub: Hub, mount: Mount): void {
  const needs = { claims: ["LIST_CATALOG_MANIFEST"] } as const;
  const newestFirst = (images: ImageVersion[]) =>
    images.toSorted((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime()).map(wireManifest);
  mount("get", "/catalog", "List images, grouped by catalog id", { tag, needs, status: 200, reply: GroupedCatalog }, async (call) => {
    const images = await visible(hub, call);
    const kept = new Set(filtered(images.map(wireManifest), call.c.req.header("X-Filter")).map(({ id }) => id));
    return grouped(images.filter(({ id }) => kept.has(id)));
  });
  mount(
    "get",
    "/catalog/{catalogId}",
    "List the versions of an image",
    { tag, needs, status: 200, reply: z.array(CatalogManifest) },
    async (call) => newestFirst(await named(hub, call)),
  );
  mount(
    "get",
    "/catalog/{catalogId}/{version}",
    "List the architectures of a version",
    { tag, needs, status: 200, reply: z.array(CatalogManifest) },
    async (call) => {
      await mustFind(hub, call);
      return newestFirst(await named(hub, call));
    },
  );
  mount("get", oneVersion, "Get one version", { tag, needs, status: 200, reply: CatalogManifest }, async (call) =>
    wireManifest(await mustFind(hub, call)),
  );
  mount(
    "get",
    `${oneVersion}/download`,
    "Get one version to be pulled, and count it",
    { tag, needs, status: 200, reply: CatalogManifest },
    async (call) => {
      const image = await mustFind(hub, call);
      unwrap(mayPull(image));
      const place = isService(call.c) ? { provider: await placeFor(hub, call.c, call.actor, image) } : {};
      await countDownload(hub.db, image.id, call.actor.username);
      return { ...wireManifest(unwrap(await findImageById(hub.db, image.id))), ...place };
    },
  );
}

function removeRoutes(hub: Hub, mount: Mount): void {
  for (const path of ["/catalog/{catalogId}", "/catalog/{catalogId}/{version}", oneVersion]) {
    mount(
      "delete",
      path,
      "Remove versions; their bytes are swept later",
      { tag, needs: { claims: ["DELETE_CATALOG_MANIFEST"] }, status: 202 },
      async (call) => {
        await mustFind(hub, call);
        for (const image of await named(hub, call))
          await telling(hub, call.asked, aboutImage("deleted", image), (tx) => deleteVersion(tx, image));
      },
    );
  }
}

const marked = { taint: "tainted", untaint: "untainted", revoke: "revoked" } as const;

function markRoutes(hub: Hub, mount: Mount): void {
  for (const mark of ["taint", "untaint", "revoke"] as const) {
    mount(
      "patch",
      `${oneVersion}/${mark}`,
      `Mark a version: ${mark}`,
      { tag, needs: { superUser: true }, status: 200, reply: CatalogManifest },
      async (call) => {
        const image = await mustFind(hub, call);
        const told = aboutImage(marked[mark], image);
        return telling(hub, call.asked, told, async (tx) =>
          wireManifest(unwrap(await markVersion(tx, image.id, mark, call.actor.username))),
        );
      },
    );
  }
}

/** Lists of words on a version. The DELETE carries a body too. */
const lists = {
  claims: ["required_claims", "requiredClaims"],
  roles: ["required_roles", "requiredRoles"],
  tags: ["tags", "tags"],
} as const;

function editRoutes(hub: Hub, mount: Mount): void {
  const needs = { claims: ["CATALOG_MANAGER_UPDATE"] } as const;
  for (const [what, [field, column]] of Object.entries(lists)) {
    for (const method of ["patch", "delete"] as const) {
      const summary = `${method === "patch" ? "Add" : "Remove"} ${what}`;
      mount(
        method,
        `${oneVersion}/${what}`,
        summary,
        { tag, needs, status: 200, body: CatalogManifestPatch, reply: CatalogManifestRecord },
        async (call) => {
          const words = call.body[field].map((word) => word.trim()).filter((word) => word !== "");
          if (words.length === 0) throw refusal(400, `No ${what} provided`);
          const image = await mustFind(hub, call);
          const same = (a: string) => words.some((word) => word.toLowerCase() === a.toLowerCase());
          const kept = image[column].filter((word) => !same(word));
          const changes = { [column]: method === "patch" ? [...kept, ...new Set(words)] : kept };
          return telling(hub, call.asked, aboutImage("changed", image), async (tx) =>
            wireRecord(await changeVersion(tx, image.id, changes)),
          );
        },
      );
    }
  }
  mount(
    "put",
    `${oneVersion}/metadata`,
    "Replace description, roles, claims and tags",
    { tag, needs, status: 200, body: UpdateCatalogManifestMetadataRequest, reply: CatalogManifestRecord },
    async (call) => {
      const image = await mustFind(hub, call);
      const { description, tags, required_roles: requiredRoles, required_claims: requiredClaims } = call.body;
      const given = withoutAbsent({ description, tags, requiredRoles, requiredClaims });
      return telling(hub, call.asked, aboutImage("changed", image), async (tx) => wireRecord(await changeVersion(tx, image.id, given)));
    },
  );
}
