/**
 * The wire's catalog: list, push, pull, mark, edit, remove.
 *
 * The one idea: a version that its reader may not see does not exist for that reader, on every route alike.
 */
import { z } from "zod";
import { changeVersion, countDownload, deleteVersion, findImageById, listImages, markVersion } from "../../db/images.ts";
import { findMachine } from "../../db/machines.ts";
import { architectureOf, mayPull, maySee, normalise } from "../../domain/catalog/rules.ts";
import { NewImageVersion, type ImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { NewMachine } from "../../domain/machines/schema.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { mustNameHost, namedHost } from "../hosts/scope.ts";
import { finished } from "../machines/act.ts";
import { imageOf } from "../machines/image.ts";
import { jobOf } from "../operations/wire-routes.ts";
import { JobResponse, wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { storeIn } from "./connection.ts";
import {
  CatalogManifest,
  CatalogManifestPatch,
  CatalogManifestRecord,
  checkPush,
  grouped,
  GroupedCatalog,
  minimumFrom,
  PullCatalogManifestRequest,
  PullCatalogManifestResponse,
  PushCatalogManifestRequest,
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

async function mustFind(hub: Hub, call: Asking): Promise<ImageVersion> {
  const [image] = await named(hub, call);
  if (image) return image;
  throw new FaultError({ code: "image_not_found", message: "There is no such image." });
}

function listRoutes(hub: Hub, mount: Mount): void {
  const needs = { claims: ["LIST_CATALOG_MANIFEST"] } as const;
  const newestFirst = (images: ImageVersion[]) =>
    images.toSorted((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime()).map(wireManifest);
  mount(
    { method: "get", path: "/catalog", summary: "List images, grouped by catalog id", tag, needs, status: 200, reply: GroupedCatalog },
    async (call) => {
      const images = await visible(hub, call);
      const kept = new Set(filtered(images.map(wireManifest), call.c.req.header("X-Filter")).map(({ id }) => id));
      return grouped(images.filter(({ id }) => kept.has(id)));
    },
  );
  mount(
    {
      method: "get",
      path: "/catalog/{catalogId}",
      summary: "List the versions of an image",
      tag,
      needs,
      status: 200,
      reply: z.array(CatalogManifest),
    },
    async (call) => newestFirst(await named(hub, call)),
  );
  mount(
    {
      method: "get",
      path: "/catalog/{catalogId}/{version}",
      summary: "List the architectures of a version",
      tag,
      needs,
      status: 200,
      reply: z.array(CatalogManifest),
    },
    async (call) => {
      await mustFind(hub, call);
      return newestFirst(await named(hub, call));
    },
  );
  mount({ method: "get", path: oneVersion, summary: "Get one version", tag, needs, status: 200, reply: CatalogManifest }, async (call) =>
    wireManifest(await mustFind(hub, call)),
  );
  mount(
    {
      method: "get",
      path: `${oneVersion}/download`,
      summary: "Get one version to be pulled, and count it",
      tag,
      needs,
      status: 200,
      reply: CatalogManifest,
    },
    async (call) => {
      const image = await mustFind(hub, call);
      unwrap(mayPull(image));
      await countDownload(hub.db, image.id, call.actor.username);
      return wireManifest(unwrap(await findImageById(hub.db, image.id)));
    },
  );
}

function removeRoutes(hub: Hub, mount: Mount): void {
  for (const path of ["/catalog/{catalogId}", "/catalog/{catalogId}/{version}", oneVersion]) {
    mount(
      {
        method: "delete",
        path,
        summary: "Remove versions; their bytes are swept later",
        tag,
        needs: { claims: ["DELETE_CATALOG_MANIFEST"] },
        status: 202,
      },
      async (call) => {
        await mustFind(hub, call);
        for (const { id } of await named(hub, call)) await deleteVersion(hub.db, id);
      },
    );
  }
}

function markRoutes(hub: Hub, mount: Mount): void {
  for (const mark of ["taint", "untaint", "revoke"] as const) {
    mount(
      {
        method: "patch",
        path: `${oneVersion}/${mark}`,
        summary: `Mark a version: ${mark}`,
        tag,
        needs: { superUser: true },
        status: 200,
        reply: CatalogManifest,
      },
      async (call) => {
        const image = await mustFind(hub, call);
        return wireManifest(unwrap(await markVersion(hub.db, image.id, mark, call.actor.username)));
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
        {
          method,
          path: `${oneVersion}/${what}`,
          summary,
          tag,
          needs,
          status: 200,
          body: CatalogManifestPatch,
          reply: CatalogManifestRecord,
        },
        async (call) => {
          const words = call.body[field].map((word) => word.trim()).filter((word) => word !== "");
          if (words.length === 0) throw refusal(400, `No ${what} provided`);
          const image = await mustFind(hub, call);
          const same = (a: string) => words.some((word) => word.toLowerCase() === a.toLowerCase());
          const kept = image[column].filter((word) => !same(word));
          return wireRecord(await changeVersion(hub.db, image.id, { [column]: method === "patch" ? [...kept, ...new Set(words)] : kept }));
        },
      );
    }
  }
  mount(
    {
      method: "put",
      path: `${oneVersion}/metadata`,
      summary: "Replace description, roles, claims and tags",
      tag,
      needs,
      status: 200,
      body: UpdateCatalogManifestMetadataRequest,
      reply: CatalogManifestRecord,
    },
    async (call) => {
      const image = await mustFind(hub, call);
      const { description, tags, required_roles: requiredRoles, required_claims: requiredClaims } = call.body;
      const given = Object.fromEntries(
        Object.entries({ description, tags, requiredRoles, requiredClaims }).filter(([, value]) => value !== undefined),
      );
      return wireRecord(await changeVersion(hub.db, image.id, given));
    },
  );
}

function transferRoutes(hub: Hub, mount: Mount): void {
  const push = { tag, needs: { claims: ["PUSH_CATALOG_MANIFEST"] }, body: PushCatalogManifestRequest } as const;
  mount(
    {
      ...push,
      method: "post",
      path: "/catalog/push",
      summary: "Push a bundle of a host and wait for it",
      status: 200,
      reply: CatalogManifest,
    },
    async (call) => {
      const done = await finished(hub, call, await beginPush(hub, call));
      const image = unwrap(await findImageById(hub.db, wordIn(done.result, "imageVersionId") ?? ""));
      return { ...wireManifest(image), catalog_id: call.body.catalog_id };
    },
  );
  mount(
    {
      ...push,
      method: "post",
      path: "/catalog/push/async",
      summary: "Push a bundle of a host; answers with a job",
      status: 202,
      reply: JobResponse,
    },
    async (call) => jobOf(hub, unwrap(await beginPush(hub, call))),
  );

  const pull = { tag, needs: { claims: ["PULL_CATALOG_MANIFEST"] }, body: PullCatalogManifestRequest } as const;
  mount(
    {
      ...pull,
      method: "put",
      path: "/catalog/pull",
      summary: "Make a machine from an image and wait for it",
      status: 200,
      reply: PullCatalogManifestResponse,
    },
    async (call) => {
      const { operation, imageId } = await beginPull(hub, call);
      const done = await finished(hub, call, { ok: true, value: operation });
      const machine = unwrap(await findMachine(hub.db, done.machineId ?? ""));
      const image = imageId === null ? null : await findImageById(hub.db, imageId);
      const manifest =
        image?.ok && maySee(image.value, { ...call.actor, everything: call.actor.isSuperUser }) ? wireManifest(image.value) : undefined;
      return {
        ...present({ id: manifest?.id }),
        machine_id: machine.id,
        ...present({ local_path: machine.bundlePath, machine_name: machine.name, manifest }),
      };
    },
  );
  mount(
    {
      ...pull,
      method: "put",
      path: "/catalog/pull/async",
      summary: "Make a machine from an image; answers with a job",
      status: 202,
      reply: JobResponse,
    },
    async (call) => jobOf(hub, (await beginPull(hub, call)).operation, { type: "catalog", operation: "pull" }),
  );
}

/** The wire's push replaces what the version had, as its clients expect. */
async function beginPush(hub: Hub, call: Call<z.output<typeof PushCatalogManifestRequest>>) {
  const { body, actor } = call;
  checkPush(body);
  const named = storeIn(body.connection);
  const host = await mustNameHost(hub, call);
  const store = named === null ? null : unwrap(await hub.stores.add(named, actor));
  const known = body.architecture === "" ? null : architectureOf(body.architecture);
  const wanted = NewImageVersion.safeParse({
    path: body.local_path,
    hostId: host.id,
    catalogId: normalise(body.catalog_id),
    description: body.description,
    tags: body.tags,
    requiredRoles: body.required_roles,
    requiredClaims: body.required_claims,
    minimum: minimumFrom(body.minimum_requirements),
    ...present({ version: body.version, architecture: known, storeId: store?.id }),
    replace: true,
    onFault: "fail",
  });
  if (!wanted.success) throw refusal(400, `Invalid request body: ${wanted.error.issues.map(({ message }) => message).join("; ")}`);
  return hub.operations.push(wanted.data, call.asked);
}

async function beginPull(
  hub: Hub,
  call: Call<z.output<typeof PullCatalogManifestRequest>>,
): Promise<{ operation: Operation; imageId: string | null }> {
  const { body } = call;
  const image = imageOf(body);
  if (body.machine_name === "") throw refusal(400, "Invalid request body: error 400: missing machine name");
  const host = await namedHost(hub, call);
  const wanted = NewMachine.safeParse({
    name: body.machine_name,
    image,
    ...present({ hostId: host?.id }),
    start: body.start_after_pull,
    onFault: "fail",
  });
  if (!wanted.success) throw refusal(400, `Invalid request body: ${wanted.error.issues.map(({ message }) => message).join("; ")}`);
  const begun = await inWireWords(() => hub.operations.provision(wanted.data, call.asked));
  return { operation: begun.operation, imageId: begun.machine.imageVersionId };
}

/** Whatever keeps an image from being pulled is a 400 there. */
async function inWireWords<T>(work: () => Promise<{ ok: true; value: T } | { ok: false; fault: FaultError["fault"] }>): Promise<T> {
  const answer = await work();
  if (answer.ok) return answer.value;
  const { code, message } = answer.fault;
  if (code === "image_not_found" || code === "image_revoked" || code === "image_tainted")
    throw refusal(400, `Error pulling manifest: ${message}`);
  throw new FaultError(answer.fault);
}
