/**
 * An operation: one workflow execution as a client sees it, and its steps as an operator sees them.
 *
 * The one idea: states only move forward, and every reader (API, command line, web UI) sees the same two enumerations.
 */
import { z } from "zod";
import { HostId, MachineId, OperationId } from "../ids.ts";
import { onFaults, operationStates, stepStates, verbs } from "./rules.ts";

export const Verb = z.enum(verbs).meta({ id: "Verb" });
export const OperationState = z.enum(operationStates).meta({ id: "OperationState" });
export const StepState = z.enum(stepStates).meta({ id: "StepState" });
export const OnFault = z
  .enum(onFaults)
  .meta({ id: "OnFault", description: "What a step does that runs out of retries: wait for an operator, or fail." });

export const FaultRecord = z
  .object({
    code: z.string(),
    message: z.string(),
    remedy: z.string(),
    subject: z.string().optional(),
    details: z.record(z.string(), z.unknown()).optional(),
  })
  .meta({ id: "Fault" });
export type FaultRecord = z.infer<typeof FaultRecord>;

/** Bytes moved so far; `newBytes` are those that travelled, the rest was there already. */
export const Progress = z
  .object({
    doneBytes: z.int().nonnegative(),
    totalBytes: z.int().nonnegative(),
    newBytes: z.int().nonnegative().optional(),
    bytesPerSecond: z.number().nonnegative().optional(),
    remainingMs: z.int().nonnegative().nullable().optional(),
    waitsFor: z.string().optional().meta({ description: "What the step waits for, such as a transfer slot." }),
  })
  .meta({ id: "Progress" });
export type Progress = z.infer<typeof Progress>;

export const Step = z
  .object({
    name: z.string(),
    position: z.int(),
    state: StepState,
    attempt: z.int(),
    startedAt: z.date().nullable(),
    endedAt: z.date().nullable(),
    progress: Progress.nullable(),
    fault: FaultRecord.nullable(),
  })
  .meta({ id: "Step" });
export type Step = z.infer<typeof Step>;

/** A step that failed and is tried again by itself. */
export const NextAttempt = z
  .object({
    step: z.string(),
    attempt: z.int().meta({ description: "Its number; `retry` lets it begin now and counts from 1 again." }),
    at: z.date().nullable().meta({ description: "Null when it waits for a worker, or was paused." }),
    fault: FaultRecord.nullable().meta({ description: "Why the last one failed." }),
  })
  .meta({ id: "NextAttempt" });
export type NextAttempt = z.infer<typeof NextAttempt>;

export const Operation = z
  .object({
    id: OperationId,
    project: z.string(),
    verb: Verb,
    state: OperationState,
    subject: z.string().meta({ description: "What the operation is about, for people: an image, a machine." }),
    actor: z.string(),
    hostId: HostId.nullable(),
    machineId: MachineId.nullable(),
    image: z.string().nullable().meta({ description: "catalogId/version/architecture" }),
    onFault: OnFault,
    workflowId: z.string(),
    createdAt: z.date(),
    startedAt: z.date().nullable(),
    endedAt: z.date().nullable(),
    fault: FaultRecord.nullable(),
    result: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: "Operation" });
export type Operation = z.infer<typeof Operation>;

/** Lets a caller's own computer do its part of one push, however long that takes. */
export const TransferToken = z
  .object({ token: z.string(), expiresAt: z.date() })
  .meta({ id: "TransferToken", description: "Good for one operation and only until it has ended." });
export type TransferToken = z.infer<typeof TransferToken>;
