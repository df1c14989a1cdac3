/**
 * The wire's deployment of a host over SSH.
 *
 * The one idea: what it would do is another's work here: the agent comes onto a Mac by the management of your Macs, and the Mac enrols itself, so no
 * password of a Mac ever reaches the hub. A request is judged as the contract says, and told how it is done.
 */
import { z } from "zod";
import { findHost } from "../../db/hosts.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Mount } from "../wire/mount.ts";

const text = z.string().max(4096).default("");
const longText = z
  .string()
  .max(64 * 1024)
  .default("");
const DeployOrchestratorHostRequest = z
  .object({ ssh_host: text, ssh_user: text, ssh_password: text, ssh_key: longText, host_name: text })
  .meta({ id: "DeployOrchestratorHostRequest" });

export function deployWireRoutes(hub: Hub, mount: Mount): void {
  const common = { tag: "orchestrator hosts", needs: { claims: ["CREATE"], hubWide: true }, body: DeployOrchestratorHostRequest } as const;
  for (const [path, status] of [
    ["/orchestrator/hosts/deploy", 201],
    ["/orchestrator/hosts/deploy/async", 202],
  ] as const)
    mount("post", path, "Refused: hosts enrol themselves", { ...common, status }, async ({ body }) => {
      for (const field of ["ssh_host", "ssh_user", "host_name"] as const)
        if (body[field] === "") throw refusal(400, `Invalid request body: error 400: ${field} is required`);
      if (body.ssh_password === "" && body.ssh_key === "")
        throw refusal(400, "Invalid request body: error 400: ssh_password or ssh_key is required");
      if ((await findHost(hub.db, body.host_name)).ok) throw refusal(409, `error 409: a host named ${body.host_name} already exists`);
      throw refusal(
        400,
        "error 400: the hub installs nothing on Macs: install the agent by the management of your Macs, make a token with POST /orchestrator/enrollment-token, and run `drover host enrol <url> <token>` there",
      );
    });
}
