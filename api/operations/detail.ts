/** An operation as our API shows it: with its steps, how far it is, and where to look at its workflow. */
import { z } from "zod";
import { NextAttempt, Operation, Progress, Step } from "../../domain/operations/schema.ts";
import { findBatch } from "../../db/batches.ts";
import { listSteps } from "../../db/steps.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import type { Hub } from "../ports.ts";

export const OperationDetail = Operation.extend({
  steps: z.array(Step),
  progress: Progress.nullable().meta({ description: "That of the step under way, or of the last one that had any." }),
  nextAttempt: NextAttempt.nullable().meta({ description: "When a step has failed and is tried again by itself." }),
  temporalUrl: z.string().nullable(),
}).meta({ id: "OperationDetail" });
export type OperationDetail = z.infer<typeof OperationDetail>;

export async function detailOf(hub: Pick<Hub, "db" | "settings" | "operations">, operation: Operation): Promise<OperationDetail> {
  const steps = await listSteps(hub.db, operation.id);
  const moving =
    steps.findLast((step) => step.progress !== null && step.state === "running") ?? steps.findLast((step) => step.progress !== null);
  const batch = await batchOf(hub, operation);
  // In a batch nothing waits for its next attempt: it falls out.
  const running = batch === null ? steps.find(({ state }) => state === "running")?.name : undefined;
  const nextAttempt = await hub.operations.nextAttempt(operation, running);
  const url = temporalUrl(hub, batch ?? operation.workflowId);
  return { ...operation, steps, progress: moving?.progress ?? null, nextAttempt, temporalUrl: url };
}

/** The batch that makes it, or made it. */
async function batchOf({ db }: Pick<Hub, "db">, { id, verb, state, result }: Operation): Promise<string | null> {
  if (verb !== "provision") return null;
  if (!isSettled(state)) return findBatch(db, id);
  const made = result?.["batch"];
  return typeof made === "string" ? made : null;
}

function temporalUrl({ settings }: Pick<Hub, "settings">, workflowId: string): string | null {
  const { url, namespace } = settings.temporalUi;
  return url === undefined
    ? null
    : `${url.replace(/\/$/, "")}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(workflowId)}`;
}
