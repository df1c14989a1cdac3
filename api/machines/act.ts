/**
 * Doing something to a machine and waiting until it is done, as the wire's calls do.
 *
 * The one idea: the call holds no state. If its client goes away the operation runs on, and if this process ends the client may ask again.
 */
import { FaultError, isCode, unwrap, type Result } from "../../domain/errors.ts";
import type { MachineAction } from "../../domain/machines/schema.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { Context } from "hono";
import type { ApiEnv } from "../http.ts";
import { mustStillBe } from "../middleware/authorise.ts";
import { settled } from "../operations/settled.ts";
import type { Hub } from "../ports.ts";
import type { Call } from "../wire/mount.ts";

export async function finished(hub: Hub, { c }: Pick<Call<unknown>, "c">, begun: Result<Operation>): Promise<Operation> {
  return mustBeDone(c, await settled(hub, unwrap(begun).id, c.req.raw.signal, () => mustStillBe(hub, c)));
}

/** What was waited for; of one that goes on, its id. */
export function mustBeDone(c: Context<ApiEnv>, operation: Operation): Operation {
  const { id, state, fault } = operation;
  if (state === "done") return operation;
  if (fault && isCode(fault.code)) throw new FaultError({ code: fault.code, message: fault.message });
  const late = c.var.deadline?.aborted === true;
  const message = `${late ? "The time that the request had is over: the" : "The"} operation ${id} is still ${state}; its job tells more.`;
  throw new FaultError({ code: late ? "deadline_exceeded" : "hub_unavailable", message, subject: id });
}

export async function actAndWait(
  hub: Hub,
  call: Pick<Call<unknown>, "c" | "asked">,
  machineId: string,
  action: MachineAction,
): Promise<Operation> {
  return finished(hub, call, await hub.operations.act(machineId, action, call.asked));
}
