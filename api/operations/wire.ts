/**
 * Operations as the wire's jobs.
 *
 * The one idea: a job's id is the operation's id made longer by its own digest, so it is found without a table and a made-up one is told apart.
 * A parked job is `running` with the reason in its message, because the wire's clients know no other word for it.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { OperationState, StepState, Verb } from "../../domain/operations/rules.ts";
import type { Operation, Step } from "../../domain/operations/schema.ts";
import { present } from "../wire/present.ts";

const JobState = z.enum(["init", "pending", "running", "completed", "failed", "skipped"]);
export const JobStepResponse = z
  .object({
    name: z.string(),
    display_name: z.string().optional(),
    weight: z.number(),
    parallel: z.boolean(),
    has_percentage: z.boolean(),
    state: JobState,
    current_percentage: z.number(),
    value: z.int(),
    total: z.int(),
    eta: z.string(),
    message: z.string(),
    error: z.string(),
    filename: z.string(),
    unit: z.string(),
  })
  .meta({ id: "JobStepResponse" });
export const JobResponse = z
  .object({
    id: z.string(),
    owner: z.string(),
    owner_name: z.string().optional(),
    owner_email: z.string().optional(),
    state: JobState,
    message: z.string().optional(),
    progress: z.int(),
    job_type: z.string(),
    job_operation: z.string(),
    steps: z.array(JobStepResponse).optional(),
    result: z.string().optional(),
    result_record_id: z.string().optional(),
    result_record_name: z.string().optional(),
    result_record_type: z.string().optional(),
    error: z.string().optional(),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: "JobResponse" });

const tail = (hex: string): string => createHash("sha256").update(hex).digest("hex").slice(0, 32);

export function jobId(operationId: string): string {
  const hex = operationId.replaceAll("-", "");
  return `${hex}${tail(hex)}`;
}

/** Null for what no operation's id can have become. */
export function operationIdOf(job: string): string | null {
  const hex = job.toLowerCase().slice(0, 32);
  if (!/^[0-9a-f]{64}$/i.test(job) || job.slice(32).toLowerCase() !== tail(hex)) return null;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

type WireState = z.infer<typeof JobState>;
const states: Record<OperationState, WireState> = {
  pending: "pending",
  running: "running",
  parked: "running",
  cancelling: "running",
  done: "completed",
  failed: "failed",
  cancelled: "failed",
};
const stepStates: Record<StepState, WireState> = {
  pending: "pending",
  running: "running",
  parked: "running",
  done: "completed",
  skipped: "skipped",
  failed: "failed",
  cancelled: "failed",
};

/** How many steps an operation has when nothing is left out: steps are announced on the way, and progress must not fall. */
const expectedSteps: Partial<Record<Verb, number>> = { push: 6, pull: 4, provision: 10, retire: 4 };

export function wireJob(
  operation: Operation,
  steps: readonly Step[],
  owner: { id: string; name: string; email: string } | undefined,
  kind = kindOf(operation.verb),
): z.input<typeof JobResponse> {
  const { id, state, fault, createdAt } = operation;
  const parked = steps.find((step) => step.state === "parked");
  const updatedAt = [
    operation.endedAt,
    ...steps.flatMap((step) => [step.endedAt, step.startedAt]),
    operation.startedAt,
    createdAt,
  ].reduce<Date>((latest, time) => (time && time > latest ? time : latest), createdAt);
  return {
    id: jobId(id),
    owner: owner?.id ?? "",
    ...present({ owner_name: owner?.name, owner_email: owner?.email }),
    state: states[state],
    ...present({ message: parked?.fault ? `${parked.name} waits for an operator: ${parked.fault.message}` : "" }),
    progress: state === "done" ? 100 : progressOf(operation, steps),
    job_type: kind.type,
    job_operation: kind.operation,
    ...present({ steps: steps.map((step) => wireStep(step, steps.length)) }),
    ...(state === "done" ? resultOf(operation) : {}),
    ...present({ error: state === "failed" || state === "cancelled" ? (fault?.message ?? "The operation was cancelled.") : "" }),
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  };
}

export interface JobKind {
  readonly type: string;
  readonly operation: string;
}
const kindOf = (verb: Verb): JobKind => {
  if (verb === "push" || verb === "pull") return { type: "catalog", operation: verb };
  return { type: "machines", operation: verb === "provision" ? "create" : verb };
};

function progressOf({ verb }: Operation, steps: readonly Step[]): number {
  const whole = Math.max(steps.length, expectedSteps[verb] ?? 2);
  const part = (step: Step) => (step.state === "done" || step.state === "skipped" ? 1 : step.state === "running" ? fractionOf(step) : 0);
  return Math.min(99, Math.floor((steps.reduce((sum, step) => sum + part(step), 0) / whole) * 100));
}

const fractionOf = ({ progress }: Step): number =>
  progress && progress.totalBytes > 0 ? Math.min(1, progress.doneBytes / progress.totalBytes) : 0;

function wireStep(step: Step, count: number): z.input<typeof JobStepResponse> {
  const { name, state, progress, fault } = step;
  const over = state === "done" || state === "skipped";
  return {
    name: name.replaceAll(" ", "_"),
    display_name: `${name[0]?.toUpperCase() ?? ""}${name.slice(1)}`,
    weight: Math.round(10_000 / count) / 100,
    parallel: false,
    has_percentage: progress !== null,
    state: stepStates[state],
    current_percentage: over ? 100 : fractionOf(step) * 100,
    value: progress?.doneBytes ?? 0,
    total: progress?.totalBytes ?? 0,
    eta: typeof progress?.remainingMs === "number" && !over ? `${Math.ceil(progress.remainingMs / 1000)}s` : "",
    message: state === "parked" && fault ? fault.message : (progress?.waitsFor ?? ""),
    error: state === "failed" && fault ? fault.message : "",
    filename: "",
    unit: progress ? "bytes" : "",
  };
}

function resultOf({ verb, machineId, subject, image, result }: Operation) {
  const told = { result: `The ${verb} of ${subject} is done.` };
  if (verb === "push") {
    const [catalogId, version, architecture] = (image ?? "").split("/");
    const name = `${catalogId}-${architecture}-${version}`;
    return {
      ...told,
      ...present({ result_record_id: wordIn(result, "imageVersionId") }),
      result_record_name: name,
      result_record_type: "catalog_manifest",
    };
  }
  const id = wordIn(result, "machineId") ?? machineId ?? undefined;
  return {
    ...told,
    ...present({ result_record_id: id }),
    result_record_name: subject,
    ...(id === undefined ? {} : { result_record_type: "virtual_machine" }),
  };
}

export function wordIn(result: Readonly<Record<string, unknown>> | null, key: string): string | undefined {
  const value = result?.[key];
  return typeof value === "string" ? value : undefined;
}
