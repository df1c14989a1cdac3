/** Faults of webhooks. */
import type { CodeFacts } from "../errors.ts";

export const webhookCodes = {
  webhook_not_found: { kind: "not_found", remedy: "`drover webhook list` shows the webhooks of this project." },
  webhook_exists: { kind: "conflict", remedy: "Choose another name, or change the webhook that has it with `drover webhook edit`." },
  delivery_not_found: {
    kind: "not_found",
    remedy: "`drover webhook deliveries <webhook>` shows what is kept; deliveries go with their events.",
  },
} as const satisfies Record<string, CodeFacts>;
