/**
 * The wire's `/ssh/execute`: a command on a computer that the caller names.
 *
 * The one idea: it is told who had what run where, and never with which credentials; a command that fails has an answer, since it ran.
 */
import { z } from "zod";
import type { Hub } from "../ports.ts";
import { audited } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import type { Mount } from "../wire/mount.ts";

const text = z.string().max(4096).default("");
/** Of a private key, or of a script. */
const longText = z
  .string()
  .max(256 * 1024)
  .default("");
const SshExecutionRequest = z
  .object({
    host: z.string().max(253).default(""),
    port: z.int().min(0).max(65_535).default(0),
    username: text,
    password: text,
    key: longText,
    command: longText,
    enable_insecure_key: z.boolean().default(false),
  })
  .meta({ id: "SshExecutionRequest" });
const SshExecutionResponse = z.object({ output: z.string(), error: z.string().optional() }).meta({ id: "SshExecutionResponse" });

export function sshWireRoutes(hub: Hub, mount: Mount): void {
  mount(
    "post",
    "/ssh/execute",
    "Run a command on a computer by SSH",
    { tag: "ssh", needs: { claims: ["EXECUTE_SSH"] }, status: 200, body: SshExecutionRequest, reply: SshExecutionResponse },
    async ({ c, asked, body }) => {
      for (const field of ["host", "port", "username", "command"] as const)
        if (!body[field]) throw refusal(400, `Invalid request body: error 400: ${field} is required`);
      if (body.password === "" && body.key === "") throw refusal(400, "Invalid request body: error 400: password or key is required");
      if (!/^[\w.:-]+$/.test(body.host)) throw refusal(400, "Invalid request body: error 400: host is a name or an address");
      const { enable_insecure_key: insecure, ...wanted } = body;
      const told = { action: "ssh.execute", subject: `${body.username}@${body.host}:${body.port}` };
      // Told before it is done: what was run once cannot be taken back.
      await audited(hub, asked, told, async () => undefined);
      const { output, exitCode } = await hub.ssh({ ...wanted, insecure }, AbortSignal.any([c.req.raw.signal, hub.closing]));
      return {
        output,
        ...(exitCode === 0
          ? {}
          : { error: exitCode === null ? "The command was ended by a signal." : `Process exited with status ${exitCode}` }),
      };
    },
  );
}
