import { expect, it } from "vitest";
import { jobId, operationIdOf, wireJob } from "./wire.ts";

const id = "01890a5d-ac96-774b-bcce-b302099a8057";

it("derives an id of 64 hexadecimal digits that leads back, and knows a made-up one", () => {
  expect(jobId(id)).toMatch(/^[0-9a-f]{64}$/);
  expect(operationIdOf(jobId(id))).toBe(id);
  expect(operationIdOf(jobId(id).toUpperCase())).toBe(id);
  expect(operationIdOf("a".repeat(64))).toBeNull();
  expect(operationIdOf("nope")).toBeNull();
});

it("shows a parked operation as running, with the reason", () => {
  const createdAt = new Date("2026-11-21T10:00:00Z");
  const operation = {
    id,
    project: "default",
    verb: "push",
    state: "parked",
    subject: "a/1/arm64",
    actor: "root",
    hostId: null,
    machineId: null,
    image: null,
    onFault: "park",
    workflowId: "w",
    createdAt,
    startedAt: createdAt,
    endedAt: null,
    fault: null,
    result: null,
  } as const;
  const fault = { code: "no_space", message: "The disk is full.", remedy: "Free space." };
  const steps = [
    {
      name: "inspect bundle",
      position: 0,
      state: "done",
      attempt: 1,
      startedAt: createdAt,
      endedAt: createdAt,
      progress: null,
      fault: null,
    },
    {
      name: "upload",
      position: 1,
      state: "parked",
      attempt: 1,
      startedAt: createdAt,
      endedAt: null,
      progress: { doneBytes: 5, totalBytes: 10 },
      fault,
    },
  ] as const;
  const job = wireJob(operation, steps, { id: "u", name: "Root", email: "root@localhost" });
  expect(job).toMatchObject({
    state: "running",
    job_type: "catalog",
    job_operation: "push",
    message: "upload waits for an operator: The disk is full.",
  });
  expect(job.progress).toBe(16);
});
