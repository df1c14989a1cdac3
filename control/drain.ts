/**
 * Closes a host to new machines: for as long as an operator wants, or until a drain has emptied it.
 *
 * The one idea: the host is closed in the transaction that accepts the drain and opened in the one that settles it, so no crash leaves it closed by nobody.
 */
import { lockHost, startDraining } from "../db/hosts.ts";
import { FaultError, unwrap, type Result } from "../domain/errors.ts";
import type { NewDrain } from "../domain/hosts/schema.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { DrainInput } from "../workflows/hosts/drain.ts";
import type { Own } from "./catalog.ts";
import { holderOf, startOperation, type Asked, type Control, type Draft } from "./start.ts";

export async function requestDrain(control: Control, idOrName: string, wanted: NewDrain, asked: Asked): Promise<Result<Operation>> {
  return startOperation(control, asked, async (tx, operationId): Promise<Draft> => {
    const { machines, limitSeconds, onFault } = wanted;
    const { id: hostId, name, draining } = unwrap(await lockHost(tx, idOrName));
    if (draining !== null)
      throw new FaultError({
        code: "host_draining",
        message: `The host ${name} is being drained already.`,
        subject: name,
        details: { operationId: draining },
      });
    await startDraining(tx, hostId, operationId);
    const workflowInput: Own<DrainInput> = { hostId, machines, limitMs: limitSeconds * 1000 };
    return {
      verb: "drain",
      subject: name,
      workflowSubject: name,
      workflowType: "drain",
      workflowInput: { ...workflowInput },
      hostId,
      onFault: asked.onFault ?? onFault,
      input: { ...wanted, holder: holderOf(asked.actor) },
      holds: [],
    };
  });
}
