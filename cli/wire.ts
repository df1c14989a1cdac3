/**
 * The API's answers as the vocabulary knows them: dates travel as text.
 *
 * The one idea: the schemas of `domain/` are walked once and only their dates replaced, so that no shape is written a second time.
 */
import { z } from "zod";
import { EnrolmentToken as EnrolmentTokenShape, Host as HostShape } from "../domain/hosts/schema.ts";
import { ImageVersion as ImageVersionShape, Store as StoreShape } from "../domain/catalog/schema.ts";
import { Machine as MachineShape, OutputLine, Snapshot, Unclaimed as UnclaimedShape } from "../domain/machines/schema.ts";
import {
  NextAttempt,
  Operation as OperationShape,
  Progress,
  Step,
  TransferToken as TransferTokenShape,
} from "../domain/operations/schema.ts";
import { ApiKey as ApiKeyShape, MadeApiKey as MadeApiKeyShape } from "../domain/access/api-keys.ts";
import { IdentityProvider as IdentityProviderShape, IdentityRule as IdentityRuleShape } from "../domain/access/identity.ts";
import { Project as ProjectShape } from "../domain/access/projects.ts";
import { Lease as LeaseShape, Pool as PoolShape, PoolDetail as PoolDetailShape } from "../domain/pools/schema.ts";
import { Token as TokenShape } from "../domain/access/schema.ts";
import { AuditRecord as AuditRecordShape, Event as EventShape } from "../domain/events/schema.ts";
import {
  Delivery as DeliveryShape,
  DeliveryDetail as DeliveryDetailShape,
  MadeWebhook as MadeWebhookShape,
  Webhook as WebhookShape,
} from "../domain/webhooks/schema.ts";

const instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

/** The same schema for JSON: what it gives out has the same type. */
export function fromJson<S extends z.ZodObject>(schema: S): z.ZodType<z.infer<S>> {
  const shape = Object.fromEntries(Object.entries(schema.shape).map(([name, field]) => [name, dated(field)]));
  return z.object(shape).transform((value) => schema.parse(value));
}

/** Dates stand alone, as nullable or optional fields, and in the objects of lists; elsewhere the vocabulary has none. */
function dated(field: z.core.$ZodType): z.core.$ZodType {
  if (field instanceof z.ZodDate) return instant;
  if (field instanceof z.ZodNullable) return z.nullable(dated(field.unwrap()));
  if (field instanceof z.ZodOptional) return z.optional(dated(field.unwrap()));
  if (field instanceof z.ZodArray) return z.array(dated(field.element));
  return field instanceof z.ZodObject ? fromDates(field) : field;
}
const fromDates = (schema: z.ZodObject) =>
  z.object(Object.fromEntries(Object.entries(schema.shape).map(([name, field]) => [name, dated(field)])));

export const Token = fromJson(TokenShape);
export const TransferToken = fromJson(TransferTokenShape);
export const EnrolmentToken = fromJson(EnrolmentTokenShape);
export const Host = fromJson(HostShape);
export const ImageVersion = fromJson(ImageVersionShape);
export const Store = fromJson(StoreShape);
export const Machine = fromJson(MachineShape);
export const Pool = fromJson(PoolShape);
export const PoolDetail = fromJson(PoolDetailShape);
export const Lease = fromJson(LeaseShape);
export const Unclaimed = fromJson(UnclaimedShape);
export const AuditRecord = fromJson(AuditRecordShape);
export const Event = fromJson(EventShape);
export const IdentityProvider = fromJson(IdentityProviderShape);
export type IdentityProvider = z.infer<typeof IdentityProviderShape>;
export const IdentityRule = fromJson(IdentityRuleShape);
export type IdentityRule = z.infer<typeof IdentityRuleShape>;
export const ApiKey = fromJson(ApiKeyShape);
export type ApiKey = z.infer<typeof ApiKeyShape>;
export const Project = fromJson(ProjectShape);
export type Project = z.infer<typeof ProjectShape>;
export const MadeApiKey = fromJson(MadeApiKeyShape);
export const Webhook = fromJson(WebhookShape);
export const MadeWebhook = fromJson(MadeWebhookShape);
export const Delivery = fromJson(DeliveryShape);
export const DeliveryDetail = fromJson(DeliveryDetailShape);
export const Operation = fromJson(OperationShape);

/** An operation with what people watch: its steps, how far it is, where Temporal shows it. */
const OperationDetailShape = OperationShape.extend({
  steps: z.array(Step),
  progress: Progress.nullable().default(null),
  nextAttempt: NextAttempt.nullable().optional(),
  temporalUrl: z.string().nullable().default(null),
});
export type OperationDetail = z.infer<typeof OperationDetailShape>;
export const OperationDetail = fromJson(OperationDetailShape);

export const Provisioning = z.object({ operation: Operation, machine: Machine });
export const ManyProvisionings = z.object({ items: z.array(Provisioning) });
export const Output = z.object({ items: z.array(OutputLine), cut: z.boolean().default(false) });

export const page = <T>(item: z.ZodType<T>) => z.object({ items: z.array(item), nextCursor: z.string().nullable().default(null) });

/** Where a caller's own computer takes part in an operation. */
export const Gateway = z.object({
  url: z.string(),
  grpcAddress: z.string(),
  namespace: z.string(),
  hubId: z.string(),
  authority: z.string(),
});
export type Gateway = z.infer<typeof Gateway>;

export const WhoAmI = z.object({ username: z.string() }).loose();
export const SnapshotList = z.object({ snapshots: z.array(Snapshot) });
export const HubProblem = z.object({
  code: z.string(),
  message: z.string(),
  remedy: z.string().default(""),
  requestId: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});
