/**
 * The wire's creation of machines, at once and as a job.
 *
 * The one idea: both are the same operation; one call waits for its end, the other answers with its job.
 */
import { NewMachine } from "../../domain/machines/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { findMachine } from "../../db/machines.ts";
import { findUser } from "../../db/users.ts";
import { bringForWire } from "../catalog/through-machines.ts";
import { mustPassThrough } from "../catalog/wire-through.ts";
import { asJob } from "../operations/given-id.ts";
import { jobOf } from "../operations/job.ts";
import { JobResponse, wordIn } from "../operations/wire.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { finished } from "./act.ts";
import { imageOf } from "./image.ts";
import type { Family } from "./family.ts";
import { provision } from "./provision.ts";
import { CreateVirtualMachineRequest, CreateVirtualMachineResponse, mebibyte, wireState } from "./wire.ts";

type Creating = Call<CreateVirtualMachineRequest>;

export function createRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, tag, fleet } = family;
  const needs = { claims: ["CREATE_VM"] } as const;
  const common = { tag, needs, body: CreateVirtualMachineRequest };
  const job = { type: fleet ? "orchestrator" : "machines", operation: "create" };

  mount("post", base, "Make a machine and wait for it", { ...common, status: 200, reply: CreateVirtualMachineResponse }, async (call) => {
    const done = await finished(hub, call, { ok: true, value: await begin(call) });
    const made = unwrap(await findMachine(hub.db, done.machineId ?? wordIn(done.result, "machineId") ?? ""));
    const owner = await findUser(hub.db, made.owner);
    const host = fleet && made.hostId !== null ? { host: made.hostId } : {};
    return { id: made.id, ...host, name: made.name, owner: owner?.username ?? made.owner, current_state: wireState(made.observed) };
  });
  mount("post", `${base}/async`, "Make a machine; answers with a job", { ...common, status: 202, reply: JobResponse }, async (call) => {
    if (!call.body.catalog_manifest && !call.body.vagrant_box && !call.body.packer_template) {
      throw refusal(400, "Invalid request body: async machine creation currently supports only catalog_manifest");
    }
    return jobOf(hub, await begin(call), call.actor);
  });

  async function begin(call: Creating) {
    const wanted = wantedMachine(call.body, { fleet, hostId: await family.hostId(hub, call) });
    const asked = asJob(call, job);
    const { catalog_manifest: manifest, architecture } = call.body;
    if (!manifest?.catalog_manager_id) return (await provision(hub, asked, wanted)).operation;
    const manager = await mustPassThrough(hub, call.actor, manifest.catalog_manager_id);
    const image = { ...manifest, architecture: manifest.architecture || architecture };
    return (await bringForWire(hub, { c: call.c, actor: call.actor, asked }, manager, image, wanted)).operation;
  }
}

/** The rules of the contract, then ours. */
export function wantedMachine(body: CreateVirtualMachineRequest, { fleet, hostId }: { fleet: boolean; hostId: string | null }): NewMachine {
  if (body.name === "") throw refusal(400, "Invalid request body: error: Name cannot be empty");
  if (fleet && body.architecture === "") throw refusal(400, "Invalid request body: error: Architecture cannot be empty");
  const sources = [body.packer_template, body.vagrant_box, body.catalog_manifest].filter((source) => source !== undefined);
  if (sources.length > 1)
    throw refusal(400, "Invalid request body: error: Only one of packer_template, vagrant_box or catalog_manifest can be specified");
  const manifest = body.catalog_manifest;
  if (!manifest)
    throw refusal(
      400,
      sources.length === 0
        ? "Invalid request body: no template was specified"
        : "error 400: nothing is built from Packer templates or Vagrant boxes here: build elsewhere, push the machine, and send a catalog_manifest",
    );
  if (manifest.connection !== "" && manifest.catalog_manager_id !== "")
    throw refusal(400, "Invalid request body: error 400: connection and catalog_manager_id cannot both be provided");
  const { cpu = "", memory = "" } = manifest.specs ?? {};
  const wanted = NewMachine.safeParse({
    name: body.name,
    image: imageOf({ ...manifest, architecture: manifest.architecture === "" ? body.architecture : manifest.architecture }),
    hostLabels: body.selection_tags,
    ...present({ hostId, vcpus: numberIn(cpu, "cpu"), memoryBytes: numberIn(memory, "memory") * mebibyte }),
    start: body.start_on_create || manifest.start_after_pull,
    onFault: "fail",
  });
  if (wanted.success) return wanted.data;
  throw refusal(400, `Invalid request body: ${wanted.error.issues.map(({ message }) => message).join("; ")}`);
}

/** Sizes are texts on the wire; an empty one leaves the choice to the image. */
function numberIn(text: string, name: string): number {
  if (text === "") return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw refusal(400, `Invalid request body: error 400: ${name} is no whole number`);
}
