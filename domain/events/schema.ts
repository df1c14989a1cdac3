/** What happened, in order: events that clients follow, and the audit that nobody edits. */
import { z } from "zod";

export const eventTypes = ["operation", "step", "machine", "host", "image", "access"] as const;
export const Event = z
  .object({
    number: z.int().positive(),
    type: z.enum(eventTypes),
    name: z.string().meta({ description: "Such as `operation.running`, `machine.observed`." }),
    subjectId: z.string(),
    operationId: z.string().nullable(),
    project: z.string(),
    at: z.date(),
    body: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Event" });
export type Event = z.infer<typeof Event>;
export type EventType = Event["type"];

/** Long work leaves two records: accepted, settled. */
export const AuditRecord = z
  .object({
    number: z.int().positive(),
    at: z.date(),
    actor: z.string(),
    action: z.string(),
    subject: z.string(),
    outcome: z.enum(["accepted", "done", "failed", "cancelled", "refused"]),
    operationId: z.string().nullable(),
    requestId: z.string().nullable(),
    source: z.string().nullable().meta({ description: "The address that asked for it; null of what the hub did by itself." }),
    hash: z.string(),
  })
  .meta({ id: "AuditRecord" });
export type AuditRecord = z.infer<typeof AuditRecord>;

/** What a look at the whole chain came to. A chain cannot tell that its newest records are gone: who kept a record's number and hash can ask for it. */
export const AuditProof = z
  .object({
    records: z.int(),
    first: z.int().nullable(),
    last: z.int().nullable(),
    lastHash: z.string().nullable(),
    broken: z.int().nullable().meta({ description: "The number of the first record that does not fit; null when all do." }),
    known: z
      .boolean()
      .nullable()
      .meta({ description: "Whether the record that the caller knows is there unchanged; null when none was named." }),
  })
  .meta({ id: "AuditProof" });
export type AuditProof = z.infer<typeof AuditProof>;
