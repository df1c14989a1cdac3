/**
 * Webhooks: where events are sent, and what came of it.
 *
 * The one idea: the address and the secret go in and never come out again; whoever needs them anew gives or makes new ones.
 */
import { z } from "zod";
import { eventTypes } from "../events/schema.ts";
import { Uuid } from "../ids.ts";
import { deliveryStates, webhookKinds } from "./rules.ts";

const pattern = new RegExp(`^(\\*|(${eventTypes.join("|")})\\.(\\*|[a-z_]+))$`);
const EventPattern = z
  .string()
  .regex(pattern, `must be *, a type such as machine.*, or a name such as operation.failed; the types are ${eventTypes.join(", ")}`);
const name = z.string().regex(/^[\w.-]{1,64}$/, "must be up to 64 letters, digits, dots, dashes and underscores");
const Address = z
  .string()
  .max(2048)
  .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ""), "must be an address that begins with https:// or http://")
  .refine((text) => (URL.parse(text)?.username ?? "") === "", "must not carry a user name or a password");
const Recipients = z.array(z.email("must be an e-mail address").max(254)).min(1).max(20);
export const EventPatterns = z.array(EventPattern).min(1).max(50);
/** A secret that somebody can guess signs nothing. */
const Secret = z.string().min(16, "must have at least 16 characters").max(256);

export const WebhookKind = z.enum(webhookKinds);
export const NewWebhook = z
  .object({
    name,
    kind: WebhookKind.default("http"),
    url: Address.optional().meta({ description: "Of `http` and `slack`." }),
    to: Recipients.optional().meta({ description: "Of `email`." }),
    events: EventPatterns.default(["*"]),
    secret: Secret.optional().meta({ description: "Signs what is sent to `http`; made where none is given." }),
  })
  .superRefine(({ kind, url, to, secret }, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
    if (kind === "email" && !to) issue("to", "must name who gets the e-mail");
    if (kind === "email" && url !== undefined) issue("url", "is not for e-mail");
    if (kind !== "email" && url === undefined) issue("url", "must say where events are sent");
    if (kind !== "email" && to) issue("to", "is for e-mail only");
    if (kind !== "http" && secret !== undefined) issue("secret", "is for kind http only: nobody checks it elsewhere");
  })
  .meta({ id: "NewWebhook" });
export type NewWebhook = z.infer<typeof NewWebhook>;

/** A week is enough to teach every receiver the new secret. */
const longestKeepSeconds = 604_800;
export const WebhookChange = z
  .object({
    name: name.optional(),
    url: Address.optional(),
    to: Recipients.optional(),
    events: EventPatterns.optional(),
    enabled: z.boolean().optional(),
    rotateSecret: z
      .object({
        secret: Secret.optional().meta({ description: "Made where none is given." }),
        keepSeconds: z.int().min(0).max(longestKeepSeconds).default(86_400).meta({ description: "How long the one before signs too." }),
      })
      .optional(),
  })
  .meta({ id: "WebhookChange" });
export type WebhookChange = z.infer<typeof WebhookChange>;

export const Webhook = z
  .object({
    id: Uuid,
    name: z.string(),
    kind: WebhookKind,
    address: z.string().meta({ description: "Where it leads; path and query are not shown, since they often are secrets." }),
    recipients: z.array(z.string()),
    events: z.array(z.string()),
    enabled: z.boolean(),
    problem: z.string().nullable(),
    previousSecretUntil: z.date().nullable(),
    createdBy: z.string().meta({ description: "In whose name events are sent: what this user may not see is not." }),
    createdAt: z.date(),
    updatedAt: z.date(),
  })
  .meta({ id: "Webhook" });
export type Webhook = z.infer<typeof Webhook>;
export const MadeWebhook = Webhook.extend({
  secret: z.string().nullable().meta({ description: "Shown this once; null where none was made." }),
}).meta({ id: "MadeWebhook" });
export type MadeWebhook = z.infer<typeof MadeWebhook>;

export const DeliveryState = z.enum(deliveryStates);
export const Delivery = z
  .object({
    id: Uuid,
    webhookId: Uuid,
    eventNumber: z.int().nullable().meta({ description: "Null: a test." }),
    eventName: z.string(),
    state: DeliveryState,
    round: z.int().meta({ description: "How often it was asked for: 1 and each redelivery." }),
    attempts: z.int().meta({ description: "Of this round." }),
    nextAt: z.date().nullable(),
    createdAt: z.date(),
    endedAt: z.date().nullable(),
  })
  .meta({ id: "Delivery" });
export type Delivery = z.infer<typeof Delivery>;

export const DeliveryAttempt = z
  .object({
    round: z.int(),
    attempt: z.int(),
    at: z.date(),
    durationMs: z.int(),
    delivered: z.boolean(),
    status: z.int().nullable().meta({ description: "Of the receiver's answer; null where there was none." }),
    problem: z.string().nullable(),
    snippet: z.string().nullable().meta({ description: "How the answer begins." }),
  })
  .meta({ id: "DeliveryAttempt" });
export type DeliveryAttempt = z.infer<typeof DeliveryAttempt>;
export const DeliveryDetail = Delivery.extend({ log: z.array(DeliveryAttempt) }).meta({ id: "DeliveryDetail" });
export type DeliveryDetail = z.infer<typeof DeliveryDetail>;
