/**
 * Many machines by one request: all are accepted in one transaction, or none.
 *
 * The one idea: each is an operation like any other, with its intent; that they are made together is only how. So the cost of a machine is a row in each
 * statement.
 */
import { randomUUIDv7 } from "node:crypto";
import { z } from "zod";
import { recordAudits } from "../db/audit.ts";
import { inTransaction, type Database } from "../db/connect.ts";
import { recordEvents } from "../db/events.ts";
import { claimKey } from "../db/idempotency.ts";
import { countDownload } from "../db/images.ts";
import { insertMachines } from "../db/batched-machines.ts";
import { findAnyMachine } from "../db/machines.ts";
import { findOperation, insertOperations, readOperation } from "../db/operations.ts";
import { insertHolds } from "../db/holds.ts";
import { insertIntents } from "../db/intents.ts";
import { FaultError, unwrap, type Result } from "../domain/errors.ts";
import { MachineName, type Machine, type NewMachine } from "../domain/machines/schema.ts";
import { hubQueue } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import { draftOf, imageFor, machineOf } from "./machines.ts";
import { answered, rowsOf, type Asked, type Control } from "./start.ts";

export interface Begun {
  readonly operation: Operation;
  readonly machine: Machine;
}

export async function requestMachines(
  control: Control,
  wanted: NewMachine & { readonly count: number },
  asked: Asked,
): Promise<Result<Begun[]>> {
  const ids = Array.from({ length: wanted.count }, () => randomUUIDv7());
  const batch = `provision/${wanted.name}x${wanted.count}/${ids[0]}`;
  const begun = await inTransaction(control.db, (tx) => acceptAll(control, tx, { wanted, asked, ids, batch }));
  if (!begun.ok) return begun;
  if (begun.value.earlier) return { ok: true, value: begun.value.all };
  await startBatch(control, batch).catch((cause: unknown) => {
    control.log.warn(
      { event: "batch.start_failed", batch, err: cause },
      "the batch could not be started; the sweep starts each of its operations alone",
    );
  });
  return { ok: true, value: begun.value.all };
}

interface Accepting {
  readonly wanted: NewMachine & { readonly count: number };
  readonly asked: Asked;
  readonly ids: readonly string[];
  readonly batch: string;
}

async function acceptAll(
  control: Control,
  tx: Database,
  { wanted, asked, ids, batch }: Accepting,
): Promise<{ all: Begun[]; earlier: boolean }> {
  const { actor, idempotency } = asked;
  const [first = ""] = ids;
  const earlier = idempotency ? await claimKey(tx, { caller: actor.userId, ...idempotency }, first) : null;
  if (earlier !== null) return { all: await begunBefore(tx, earlier), earlier: true };
  const { machines, drafts } = await draftAll(tx, { wanted, asked, ids });
  const rows = drafts.map((draft, index) => rowsOf(control, asked, ids[index] ?? "", draft));
  const operations = await insertOperations(
    tx,
    // The first knows all, so that the same request again finds them.
    rows.map(({ operation }, index) => ({ ...operation, input: { ...operation.input, ...(index === 0 ? { together: ids } : {}) } })),
  );
  await insertHolds(
    tx,
    drafts.flatMap(({ holds }, index) => holds.map((held) => ({ ...held, operationId: ids[index] ?? "" }))),
  );
  await insertIntents(
    tx,
    rows.map(({ intent }) => ({ ...intent, workflowInput: { ...intent.workflowInput, batch } })),
  );
  await recordEvents(
    tx,
    rows.map(({ event }) => event),
  );
  await recordAudits(
    tx,
    rows.map(({ audit }) => audit),
  );
  return { all: operations.flatMap((operation, index) => begunOf(operation, machines[index])), earlier: false };
}

async function draftAll(tx: Database, { wanted, asked, ids }: Omit<Accepting, "batch">) {
  const image = await imageFor(tx, wanted, asked);
  const machines = await insertMachines(
    tx,
    ids.map((_, index) => machineOf({ ...wanted, name: nameOf(wanted.name, index + 1) }, image, asked)),
  );
  await countDownload(tx, image.id, asked.actor.username, ids.length);
  return { machines, drafts: machines.map((machine) => draftOf(machine, image, wanted, asked)) };
}

const begunOf = (operation: Operation, machine: Machine | undefined): Begun[] => (machine ? [{ operation, machine }] : []);

/** A name that leaves no room for its number is refused in the words of names. */
function nameOf(name: string, number: number): string {
  const numbered = MachineName.safeParse(`${name}-${number}`);
  if (numbered.success) return numbered.data;
  const message = `name: with its number it is too long: ${name}-${number} has more than 200 characters.`;
  throw new FaultError({ code: "invalid_request", message, subject: name });
}

const Together = z.object({ together: z.array(z.string()) });

async function begunBefore(tx: Database, operationId: string): Promise<Begun[]> {
  const { together } = Together.parse(unwrap(await readOperation(tx, operationId)).input);
  const all: Begun[] = [];
  for (const id of together) {
    const operation = unwrap(await findOperation(tx, id));
    all.push({ operation, machine: unwrap(await findAnyMachine(tx, operation.machineId ?? "")) });
  }
  return all;
}

async function startBatch({ temporal }: Control, batch: string): Promise<void> {
  await answered(temporal, () =>
    temporal.workflow.start("provisionMany", {
      workflowId: batch,
      taskQueue: hubQueue,
      workflowIdReusePolicy: "REJECT_DUPLICATE",
      args: [{ interfaceVersion: 1, batch }],
      staticSummary: batch,
    }),
  );
}
