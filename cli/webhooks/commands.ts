/** `drover webhook`: where events are sent, and what came of it. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function webhookCommands(program: Command, answer: Answer): void {
  const webhook = declareGroup(program, { name: "webhook", summary: "Have events sent to a program, to Slack or by e-mail" });
  for (const declaration of [...keeping, ...watching]) declare(webhook, declaration, answer);
}

const target = [
  ["--url <address>", "where events are sent; an address that is a secret itself comes from a file"],
  ["--url-file <path>", "file with the address; - is standard input"],
  ["--to <address>", "of kind email: who gets it; may be given several times", "several"],
  ["--event <pattern>", "such as machine.* or operation.failed; may be given several times; all without it", "several"],
  ["--secret-file <path>", "file with the secret that signs; one is made without it"],
] as const;

const keeping: readonly Declaration[] = [
  {
    usage: "add <name>",
    summary: "Have events sent, in your name",
    options: [["--kind <kind>", "http (the default), slack or email"], ...target],
    examples: [
      "drover webhook add ci --url https://ci.example.com/hooks/drover --event operation.failed --event 'machine.*'",
      "drover webhook add ops --kind slack --url-file slack-url.txt --event operation.failed",
      "drover webhook add oncall --kind email --to oncall@example.com --event host.lost",
    ],
    run: async () => (await import("./webhooks.ts")).addWebhook,
  },
  {
    usage: "list",
    summary: "List webhooks",
    alias: "ls",
    examples: ["drover webhook list"],
    run: async () => (await import("./webhooks.ts")).listWebhooks,
  },
  {
    usage: "show <webhook>",
    summary: "Show a webhook",
    examples: ["drover webhook show ci"],
    run: async () => (await import("./webhooks.ts")).showWebhook,
  },
  {
    usage: "edit <webhook>",
    summary: "Change a webhook and take it over: from then on it sends in your name",
    options: [
      ["--name <name>", "its new name"],
      ...target,
      ["--rotate-secret", "make a new secret"],
      ["--keep-secret <duration>", "how long the one before signs too (default 24h)"],
      ["--enable", "send again, from now on"],
      ["--disable", "send nothing"],
    ],
    examples: ["drover webhook edit ci --rotate-secret --keep-secret 48h", "drover webhook edit ci --disable"],
    run: async () => (await import("./webhooks.ts")).editWebhook,
  },
  {
    usage: "remove <webhook>",
    summary: "Remove a webhook with its deliveries",
    alias: "rm",
    examples: ["drover webhook remove ci"],
    run: async () => (await import("./webhooks.ts")).removeWebhook,
  },
];

const watching: readonly Declaration[] = [
  {
    usage: "test <webhook>",
    summary: "Send a test and tell what came of the first attempt",
    options: [["--timeout <duration>", "how long to wait for it (default 30s)"]],
    examples: ["drover webhook test ci"],
    run: async () => (await import("./deliveries.ts")).testWebhook,
  },
  {
    usage: "deliveries <webhook>",
    summary: "List what was sent, newest first",
    options: [
      ["--state <state>", "only pending, delivered or dead"],
      ["--limit <n>", "at most so many (default 50); 0 for all"],
    ],
    examples: ["drover webhook deliveries ci --state dead"],
    run: async () => (await import("./deliveries.ts")).listDeliveries,
  },
  {
    usage: "delivery <id>",
    summary: "Show what came of each attempt of a delivery",
    examples: ["drover webhook delivery 0195c9d0-8c1e-7000-8000-000000000000"],
    run: async () => (await import("./deliveries.ts")).showDelivery,
  },
  {
    usage: "redeliver <id>",
    summary: "Send a delivery anew, whatever became of it",
    examples: ["drover webhook redeliver 0195c9d0-8c1e-7000-8000-000000000000"],
    run: async () => (await import("./deliveries.ts")).redeliver,
  },
];
