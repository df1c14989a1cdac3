/**
 * The wire's push and pull: the first publishes a bundle of a host, the second makes a machine from an image.
 *
 * The one idea: the wire's push replaces what a version had and its pull registers a machine, as its clients expect; both are our own operations.
 */
import { normalize } from "node:path/posix";
import type { z } from "zod";
import { findImageById } from "../../db/images.ts";
import { findMachine } from "../../db/machines.ts";
import { architectureOf, maySee, normalise } from "../../domain/catalog/rules.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import type { Host } from "../../domain/hosts/schema.ts";
import { NewMachine } from "../../domain/machines/schema.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { mustNameHost, namedHost } from "../hosts/scope.ts";
import { finished } from "../machines/act.ts";
import { imageOf } from "../machines/image.ts";
import { provision } from "../machines/provision.ts";
import { asJob } from "../operations/given-id.ts";
import { jobOf } from "../operations/job.ts";
import { JobResponse, wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { storeIn } from "./connection.ts";
import {
  CatalogManifest,
  checkPush,
  minimumFrom,
  PullCatalogManifestRequest,
  PullCatalogManifestResponse,
  PushCatalogManifestRequest,
  wireManifest,
} from "./wire.ts";

const tag = "catalog";

export function transferRoutes(hub: Hub, mount: Mount): void {
  const push = { tag, needs: { claims: ["PUSH_CATALOG_MANIFEST"] }, body: PushCatalogManifestRequest } as const;
  mount(
    "post",
    "/catalog/push",
    "Push a bundle of a host and wait for it",
    { ...push, status: 200, reply: CatalogManifest },
    async (call) => {
      const done = await finished(hub, call, await beginPush(hub, call));
      const image = unwrap(await findImageById(hub.db, wordIn(done.result, "imageVersionId") ?? ""));
      return { ...wireManifest(image), catalog_id: call.body.catalog_id };
    },
  );
  mount(
    "post",
    "/catalog/push/async",
    "Push a bundle of a host; answers with a job",
    { ...push, status: 202, reply: JobResponse },
    async (call) => jobOf(hub, unwrap(await beginPush(hub, call)), call.actor),
  );

  const pull = { tag, needs: { claims: ["PULL_CATALOG_MANIFEST"] }, body: PullCatalogManifestRequest } as const;
  mount(
    "put",
    "/catalog/pull",
    "Make a machine from an image and wait for it",
    { ...pull, status: 200, reply: PullCatalogManifestResponse },
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
    "put",
    "/catalog/pull/async",
    "Make a machine from an image; answers with a job",
    { ...pull, status: 202, reply: JobResponse },
    async (call) => jobOf(hub, (await beginPull(hub, call)).operation, call.actor),
  );
}

/** The wire's push replaces what the version had, as its clients expect. */
async function beginPush(hub: Hub, call: Call<z.output<typeof PushCatalogManifestRequest>>) {
  checkPush(call.body);
  const asked = asJob(call, { type: "catalog", operation: "push" });
  const named = storeIn(call.body.connection);
  const store = named === null ? null : unwrap(await hub.stores.add(named, call.actor));
  return hub.operations.push(await pushedVersion(hub, call, store?.id), asked);
}

/** The version that a push is to make. */
export async function pushedVersion(
  hub: Hub,
  call: Pick<Call<z.output<typeof PushCatalogManifestRequest>>, "c" | "body">,
  storeId: string | undefined,
): Promise<NewImageVersion> {
  const { body } = call;
  const host = await mustNameHost(hub, call);
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
    ...present({ version: body.version, architecture: known, storeId }),
    replace: true,
    onFault: "fail",
  });
  if (!wanted.success) throw refusal(400, `Invalid request body: ${wanted.error.issues.map(({ message }) => message).join("; ")}`);
  return wanted.data;
}

async function beginPull(
  hub: Hub,
  call: Call<z.output<typeof PullCatalogManifestRequest>>,
): Promise<{ operation: Operation; imageId: string | null }> {
  const asked = asJob(call, { type: "catalog", operation: "pull" });
  const begun = await provision(hub, asked, await pulledMachine(hub, call));
  return { operation: begun.operation, imageId: begun.machine.imageVersionId };
}

/** The machine that a pull is to make. */
export async function pulledMachine(
  hub: Hub,
  call: Pick<Call<z.output<typeof PullCatalogManifestRequest>>, "c" | "body">,
): Promise<NewMachine> {
  const { body } = call;
  const image = imageOf(body);
  if (body.machine_name === "") throw refusal(400, "Invalid request body: error 400: missing machine name");
  const host = await namedHost(hub, call);
  checkPath(body.path, host);
  const wanted = NewMachine.safeParse({
    name: body.machine_name,
    image,
    ...present({ hostId: host?.id }),
    start: body.start_after_pull,
    onFault: "fail",
  });
  if (!wanted.success) throw refusal(400, `Invalid request body: ${wanted.error.issues.map(({ message }) => message).join("; ")}`);
  return wanted.data;
}

/** Machines lie in their host's machine folder; a path that leads elsewhere on the host is refused as a push from there is. */
export function checkPath(path: string, host: Host | null): void {
  const roots = host?.facts?.roots ?? [];
  const inside = roots.some((root) => normalize(`${path}/`).startsWith(normalize(`${root}/`)));
  if (path === "" || roots.length === 0 || inside) return;
  throw new FaultError({
    code: "path_forbidden",
    message: `The path ${path} lies outside the roots of the host ${host?.name ?? ""}.`,
    subject: path,
  });
}
