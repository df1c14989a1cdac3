/** An operation that is under way, locked in the caller's transaction: whoever acts for one that has ended is told so and changes nothing. */
import type { z } from "zod";
import type { Database } from "../../db/connect.ts";
import { readOperation, type OperationRow } from "../../db/operations.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { isSettled } from "../../domain/operations/rules.ts";

export type UnderWay<Input> = Omit<OperationRow, "input"> & { readonly input: Input };

/** `Input` is the shape in which the operation's request was kept. */
export async function underWay<Input>(tx: Database, operationId: string, Input: z.ZodType<Input>): Promise<UnderWay<Input>> {
  const row = unwrap(await readOperation(tx, operationId, { lock: true }));
  const { id, state } = row.operation;
  if (isSettled(state))
    throw new FaultError({ code: "operation_settled", message: `The operation ${id} has already ended as ${state}.`, subject: id });
  return { ...row, input: Input.parse(row.input) };
}
