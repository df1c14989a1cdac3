/** What people ask of the audit: which records there are, and whether all still fit. */
import { z } from "zod";
import { AuditProof, AuditRecord as AuditRecordShape } from "../../domain/events/schema.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { given, milliseconds, wholeNumber } from "../values.ts";
import { AuditRecord } from "../wire.ts";

/** A time, or how long ago. */
const moment = z.string().transform((text, context) => {
  const span = milliseconds.safeParse(text);
  if (span.success) return new Date(Date.now() - span.data);
  const at = z.iso.datetime({ offset: true }).safeParse(text);
  if (at.success) return new Date(at.data);
  context.addIssue("must be a time as in 2026-11-21T08:00:00Z, or a span such as 2h");
  return z.NEVER;
});
const Filters = z.object({
  actor: z.string().optional(),
  action: z.string().optional(),
  subject: z.string().optional(),
  outcome: AuditRecordShape.shape.outcome.optional(),
  operation: z.uuid("must be the id of an operation").optional(),
  since: moment.optional(),
  until: moment.optional(),
  limit: wholeNumber.default(50),
});

export async function listAudit(context: Context, _args: readonly string[], options: unknown): Promise<void> {
  const { operation, since, until, limit, ...named } = given(Filters, options);
  const client = await context.hub();
  const query = { ...named, operationId: operation, since: since?.toISOString(), until: until?.toISOString() };
  const found = await client.list("/audit", AuditRecord, query, limit === 0 ? undefined : limit);
  const words = () =>
    table(
      found,
      [
        { title: "NUMBER", of: ({ number }) => number, right: true },
        { title: "AT", of: ({ at }) => time(at) },
        { title: "WHO", of: ({ actor }) => actor },
        { title: "WHAT", of: ({ action }) => action },
        { title: "TARGET", of: ({ subject }) => subject },
        { title: "OUTCOME", of: ({ outcome }) => outcome },
        { title: "FROM", of: ({ source }) => source },
        { title: "OPERATION", of: ({ operationId }) => operationId },
      ],
      "No audit records.",
    );
  context.show(found, words);
}

const Known = z.object({
  known: z
    .string()
    .regex(/^\d+:[0-9a-f]{64}$/, "must be <number>:<hash>, as `drover audit verify` prints it")
    .optional(),
});

export async function verifyAudit(context: Context, _args: readonly string[], options: unknown): Promise<number> {
  const [number, hash] = given(Known, options).known?.split(":") ?? [];
  const client = await context.hub();
  const proof = await client.get("/audit/proof", AuditProof, { query: { number, hash } });
  const { records, first, last, lastHash, broken, known } = proof;
  context.show(proof, () =>
    facts([
      ["records", records === 0 ? "none" : `${records}, from ${first} to ${last}`],
      ["chain", broken === null ? "whole" : `broken at record ${broken}: it was edited, or one before it was removed`],
      ["known", known === null ? null : known ? "is there, unchanged" : "is NOT there: the newest records were removed, or it was edited"],
      ["newest", last === null ? null : `${last}:${lastHash}`],
    ]),
  );
  return broken === null && known !== false ? exitCodes.done.code : exitCodes.failed.code;
}
