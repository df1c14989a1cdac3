/** Faults of webhooks. */
import type { CodeFacts } from "../errors.ts";

export const webhookCodes = {
  webhook_not_found: { kind: "not_found", remedy: "`drover webhook list` shows the webhooks of this project." },
  webhook_exists: { kind: "conflict", remedy: "Choose another name, or change the webhook that has it with `drover webhook edit`." },
  delivery_not_found: { kind: "not_found", remedy: "`drover webhook deliveries <webhook>` shows what is kept; deliveries go with their events." },
  mail_not_set_up: { kind: "invalid", remedy: "Set DROVER_SMTP_URL and DROVER_SMTP_FROM on the hub, then try again." },
} as const satisfies Record<string, CodeFacts>;
