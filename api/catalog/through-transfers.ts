/**
 * Pulls and pushes through a catalog manager.
 *
 * The one idea: a pull makes a machine here of an image that lies there. A push is the other side's own work: the bundle that it names lies on one of its
 * hosts, and what it answers is passed back.
 */
import { findMachine } from "../../db/machines.ts";
import { unwrap } from "../../domain/errors.ts";
import { finished } from "../machines/act.ts";
import { jobOf } from "../operations/job.ts";
import { JobResponse, wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { bringMachine } from "./through-machines.ts";
import { pulledMachine } from "./transfers.ts";
import { CatalogManifest, PullCatalogManifestRequest, PullCatalogManifestResponse } from "./wire.ts";
import { mustPassThrough } from "./wire-through.ts";

const tag = "catalog managers";
const base = "/catalog-managers/{id}/catalog";
const pulling = { claims: ["PULL_CATALOG_MANIFEST", "CATALOG_MANAGER_PULL_CATALOG_MANIFEST_OWN"], any: true } as const;

export function throughTransferRoutes(hub: Hub, mount: Mount): void {
  const pull = { tag, needs: pulling, body: PullCatalogManifestRequest } as const;
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
    async (call) => jobOf(hub, (await begin(hub, call)).operation),
  );
}

async function begin(hub: Hub, call: Call<PullCatalogManifestRequest>) {
  const { body, actor } = call;
  const manager = await mustPassThrough(hub, actor, call.param("id"));
  if (body.connection !== "") throw refusal(400, "Invalid request body: error 400: a pull through a catalog manager takes no connection");
  return bringMachine(hub, call, manager, body, await pulledMachine(hub, call), { type: "catalog", operation: "pull" });
}
