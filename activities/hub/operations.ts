/**
 * What workflows tell of themselves: steps, and how they ended.
 *
 * The one idea: both are local activities that may run twice, so each write states what it relies on and changes nothing the second time.
 */
import { z } from "zod";
import type { Database } from "../../db/connect.ts";
import { takeDecision } from "../../db/decisions.ts";
import { recordEvents } from "../../db/events.ts";
import { moveOperation } from "../../db/operations.ts";
import { settleOperation } from "../../db/settlement.ts";
import { listSteps, writeSteps } from "../../db/steps.ts";
import type { RecordActivities, StepRecord } from "../../workflows/records.ts";
import { underWay } from "./under-way.ts";

export function recordActivities({ db }: { db: Database }): RecordActivities {
  return {
    recordSteps: ({ operationId, steps }) => db.transaction((tx) => recordSteps(tx, operationId, steps)),
    firstUnfinished: async ({ operationId, steps }) => {
      const told = new Map((await listSteps(db, operationId)).map(({ name, state }) => [name, state]));
      const isOpen = (name: string) => !["done", "skipped"].includes(told.get(name) ?? "pending");
      return steps.find(isOpen) ?? steps.at(-1) ?? "";
    },
    settle: async ({ operationId, steps, outcome, fault, result }) => {
      await settleOperation(db, { operationId, steps, outcome, fault, result });
    },
  };
}

async function recordSteps(tx: Database, operationId: string, steps: readonly StepRecord[]): Promise<void> {
  // A workflow that was reset after its operation had ended stops here, before it does anything once more.
  const { operation } = await underWay(tx, operationId, z.unknown());
  const { project } = operation;
  for (const { decided, name } of steps) if (decided) await takeDecision(tx, operation, { ...decided, step: name });
  const told = await writeSteps(tx, operationId, steps);
  const events = steps
    .filter((_, index) => told[index])
    .map(({ name, state, fault }) => {
      const body = { step: name, ...(fault ? { code: fault.code, message: fault.message } : {}) };
      return { type: "step", name: `step.${state}`, subjectId: operationId, operationId, project, body } as const;
    });
  await recordEvents(tx, events);
  // The last word counts: a step that parked and was tried again since does not park its operation.
  const last = steps.findLast(({ state }) => state === "parked" || state === "running");
  // After an operator's word it goes on, be it to its undo.
  const goesOn = last?.state === "running" || steps.some(({ decided }) => decided);
  if (last?.state === "parked") await moveOperation(tx, operationId, ["pending", "running"], "parked");
  else if (goesOn) await moveOperation(tx, operationId, ["pending", "parked"], "running");
}
