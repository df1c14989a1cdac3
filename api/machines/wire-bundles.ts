/**
 * The wire's `register`, `unregister` and `upload`: machines that come from a host's disk and go back to it, and files that go into a guest.
 *
 * The one idea: whoever unregisters keeps the files, so the machine leaves the hub's rows with its bundle unmarked, and registering it again makes a new one.
 */
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import { MachineAction, Registration } from "../../domain/machines/schema.ts";
import { seenMachine } from "../../db/observed.ts";
import { parsed } from "../http.ts";
import { mustNameHost } from "../hosts/scope.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { actAndWait, finished } from "./act.ts";
import { own, type Family } from "./family.ts";
import { ParallelsVM, wireMachine } from "./wire.ts";

const text = z.string().default("");
const no = z.boolean().default(false);
/** `owner` and the flags are accepted: a host's machines have one owner, and each registered one gets an id of its own. */
const RegisterVirtualMachineRequest = z
  .object({
    path: text,
    owner: text,
    uuid: text,
    machine_name: text,
    regenerate_source_uuid: no,
    force: no,
    delay_applying_restrictions: no,
  })
  .meta({ id: "RegisterVirtualMachineRequest" });
const UnregisterVirtualMachineRequest = z
  .object({ id: text, owner: text, clean_source_uuid: no })
  .meta({ id: "UnregisterVirtualMachineRequest" });
const ApiCommonResponse = z.object({ success: z.boolean(), operation: z.string().optional() }).meta({ id: "ApiCommonResponse" });
const VirtualMachineUploadRequest = z.object({ path: text, remote_path: text }).meta({ id: "VirtualMachineUploadRequest" });
const VirtualMachineUploadResponse = z
  .object({ path: z.string(), error: z.string().optional() })
  .meta({ id: "VirtualMachineUploadResponse" });

export function registerRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, param, tag, fleet } = family;
  mount(
    "post",
    `${base}/register`,
    "Make a machine of a bundle on the host's disk",
    { tag, needs: { claims: ["CREATE_VM"] }, status: 200, body: RegisterVirtualMachineRequest, reply: ParallelsVM },
    async (call) => {
      const { path, uuid, machine_name } = call.body;
      if (path === "") throw refusal(400, "Invalid request body: error 400: missing path");
      const hostId = (await family.hostId(hub, call)) ?? (await mustNameHost(hub, call)).id;
      const wanted = parsed(Registration, { hostId, path, ...present({ name: machine_name, machineId: uuid }) });
      const done = await withMissingPath(finished(hub, call, await hub.operations.register(wanted, call.asked)));
      const made = await seenMachine(hub.db, done.machineId ?? "");
      if (made) return wireMachine(made, { fleet });
      throw new FaultError({ code: "machine_not_found", message: `${done.subject} was registered and is gone again.` });
    },
  );
  mount(
    "post",
    `${base}/{${param}}/unregister`,
    "Forget a machine and keep its files",
    { tag, needs: { claims: ["UPDATE_VM"] }, status: 200, body: UnregisterVirtualMachineRequest, reply: ApiCommonResponse },
    async (call) => {
      const { id } = await own(hub, call, family);
      await finished(hub, call, await hub.operations.retire(id, { force: false, keepsBundle: true }, call.asked));
      return { success: true };
    },
  );
}

export function uploadRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, param, tag } = family;
  mount(
    "post",
    `${base}/{${param}}/upload`,
    "Copy a file or folder of the machine's host into the guest",
    { tag, needs: { claims: ["UPDATE_VM"] }, status: 200, body: VirtualMachineUploadRequest, reply: VirtualMachineUploadResponse },
    async (call) => {
      const { path, remote_path: guestPath } = call.body;
      if (path === "") throw refusal(400, "Invalid request body: error 400: missing path");
      if (guestPath === "") throw refusal(400, "Invalid request body: error 400: missing remote path");
      const { id, machine } = await own(hub, call, family);
      if (machine.observed === "stopped" || machine.observed === "suspended" || machine.observed === "paused")
        throw refusal(400, "error: VM is not running");
      await withMissingPath(actAndWait(hub, call, id, parsed(MachineAction, { verb: "upload", path, guestPath })));
      return { path: guestPath };
    },
  );
}

/** Clients of the wire read "there is no such folder" from a 404. */
async function withMissingPath<T>(done: Promise<T>): Promise<T> {
  return done.catch((error: unknown) => {
    throw error instanceof FaultError && error.fault.code === "bundle_not_found" ? refusal(404, error.fault.message) : error;
  });
}
