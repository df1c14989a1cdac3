/**
 * Pulls and pushes through a catalog manager.
 *
 * The one idea: a pull makes a machine here of an image that lies there. A push takes a bundle of a host here into a store that both sides reach, and
 * tells the other side of it.
 */
import { findImageById } from "../../db/images.ts";
import { findMachine } from "../../db/machines.ts";
import type { CatalogManager } from "../../domain/catalog/managers.ts";
import type { NewImageVersion } from "../../domain/catalog/schema.ts";
import { ok, refuse, unwrap, type Result } from "../../domain/errors.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { Asked } from "../../control/start.ts";
import { finished } from "../machines/act.ts";
import { asJob } from "../operations/given-id.ts";
import { jobOf } from "../operations/job.ts";
import { JobResponse, wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { storeIn } from "./connection.ts";
import { parseConnection } from "./connection-string.ts";
import { bringForWire, catalogIdHere, claimOf } from "./through-machines.ts";
import { pulledMachine, pushedVersion } from "./transfers.ts";
import {
  CatalogManifest,
  checkPush,
  PullCatalogManifestRequest,
  PullCatalogManifestResponse,
  PushCatalogManifestRequest,
  wireManifest,
} from "./wire.ts";
import { mustPassThrough } from "./wire-through.ts";

const tag = "catalog managers";
const base = "/catalog-managers/{id}/catalog";
export const pushing = { claims: ["PUSH_CATALOG_MANIFEST", "CATALOG_MANAGER_PUSH_CATALOG_MANIFEST_OWN"], any: true } as const;
export const pulling = { claims: ["PULL_CATALOG_MANIFEST", "CATALOG_MANAGER_PULL_CATALOG_MANIFEST_OWN"], any: true } as const;

export function throughTransferRoutes(hub: Hub, mount: Mount): void {
  const pull = { tag, needs: pulling, body: PullCatalogManifestRequest } as const;
  const push = { tag, needs: pushing, body: PushCatalogManifestRequest } as const;
  mount(
    "post",
    `${base}/push`,
    "Push a bundle of a host to another catalog and wait for it",
    { ...push, status: 200, reply: CatalogManifest },
    async (call) => {
      const done = await finished(hub, call, { ok: true, value: await beginPush(hub, call) });
      const image = unwrap(await findImageById(hub.db, wordIn(done.result, "imageVersionId") ?? ""));
      const { required_roles, required_claims, catalog_id } = call.body;
      return { ...wireManifest(image), catalog_id, ...present({ required_roles, required_claims }) };
    },
  );
  mount(
    "post",
    `${base}/push/async`,
    "Push a bundle of a host to another catalog; answers with a job",
    { ...push, status: 202, reply: JobResponse },
    async (call) => jobOf(hub, await beginPush(hub, call), call.actor),
  );
  mount(
    "put",
    `${base}/pull`,
    "Make a machine from an image of another catalog and wait for it",
    { ...pull, status: 200, reply: PullCatalogManifestResponse },
    async (call) => {
      const { operation, manifest } = await begin(hub, call);
      const done = await finished(hub, call, { ok: true, value: operation });
      const machine = unwrap(await findMachine(hub.db, wordIn(done.result, "machineId") ?? ""));
      const told = CatalogManifest.safeParse(manifest);
      return {
        ...present({ id: told.data?.id }),
        machine_id: machine.id,
        ...present({ local_path: machine.bundlePath, machine_name: machine.name, manifest: told.data }),
      };
    },
  );
  mount(
    "put",
    `${base}/pull/async`,
    "Make a machine from an image of another catalog; answers with a job",
    { ...pull, status: 202, reply: JobResponse },
    async (call) => jobOf(hub, (await begin(hub, call)).operation, call.actor),
  );
}

async function begin(hub: Hub, call: Call<PullCatalogManifestRequest>) {
  const { body, actor } = call;
  const manager = await mustPassThrough(hub, actor, call.param("id"));
  if (body.connection !== "") throw refusal(400, "Invalid request body: error 400: a pull through a catalog manager takes no connection");
  const asked = asJob(call, { type: "catalog", operation: "pull" });
  return bringForWire(hub, { c: call.c, actor, asked }, manager, body, await pulledMachine(hub, call));
}

/** Clients of the contract replace what a version had. */
async function beginPush(hub: Hub, call: Call<PushCatalogManifestRequest>): Promise<Operation> {
  const { body, actor } = call;
  const manager = await mustPassThrough(hub, actor, call.param("id"));
  checkPush(body);
  const asked = asJob(call, { type: "catalog", operation: "push" });
  const place = placeIn(body.connection);
  if (!place.ok) throw refusal(400, `Error pushing manifest: ${place.fault.message}`);
  const version = await pushedVersion(hub, call, undefined);
  return sendBundle(hub, asked, { manager, version, place: place.value });
}

/** A store that both sides reach, and how the other side reaches it. */
interface Meeting {
  readonly store: Parameters<Hub["stores"]["add"]>[0];
  readonly place: { readonly type: string; readonly meta: Readonly<Record<string, string>> };
}

/** `connection`: as the Parallels DevOps contract writes it. */
export function placeIn(written: string): Result<Meeting> {
  const connection = parseConnection(written);
  if (!connection.ok) return connection;
  const { provider, parts: meta } = connection.value;
  const store = storeIn(written);
  if (store && provider !== null) return ok({ store, place: { type: provider, meta } });
  const message = "a push through a catalog manager needs a connection that names a store which both sides reach";
  return refuse({ code: "invalid_request", message });
}

interface Sending {
  readonly manager: CatalogManager;
  readonly version: NewImageVersion;
  readonly place: Meeting;
}

export async function sendBundle(
  hub: Hub,
  asked: Asked,
  { manager, version, place: { store: named, place } }: Sending,
): Promise<Operation> {
  const { actor } = asked;
  const store = unwrap(await hub.stores.add(named, actor));
  const { requiredRoles, requiredClaims } = version;
  const claim = claimOf(manager);
  const push = { ...version, catalogId: catalogIdHere(manager, version.catalogId), requiredRoles: [], requiredClaims: [claim] };
  const as = { catalogId: version.catalogId, requiredRoles, requiredClaims };
  const by = { ...asked, actor: { ...actor, claims: [...actor.claims, claim] } };
  return unwrap(await hub.operations.send({ manager, push, as, storeId: store.id, place }, by));
}
