/** What people do with API keys. */
import { z } from "zod";
import { Nothing, pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { time } from "../output/format.ts";
import { table } from "../output/table.ts";
import { given, milliseconds } from "../values.ts";
import { ApiKey, MadeApiKey } from "../wire.ts";

export async function listKeys(context: Context): Promise<void> {
  const found = await (await context.hub()).list("/api-keys", ApiKey);
  const columns = [
    { title: "NAME", of: ({ name }: ApiKey) => name },
    { title: "USER", of: ({ username }: ApiKey) => username ?? "root" },
    { title: "CLAIMS", of: ({ claims }: ApiKey) => claims?.join(", ") ?? "all of its user's" },
    { title: "STATE", of: ({ revokedAt, expired }: ApiKey) => (revokedAt ? "revoked" : expired ? "expired" : "good") },
    { title: "UNTIL", of: ({ expiresAt }: ApiKey) => (expiresAt ? time(expiresAt) : "it is revoked") },
    { title: "MADE", of: ({ createdAt }: ApiKey) => time(createdAt) },
  ];
  context.show(found, () => table(found, columns, "No API keys."));
}

/** A key that nobody thinks of any more ends by itself. */
const Adding = z.object({
  claim: z.array(z.string()).optional(),
  expires: z.union([z.literal("never").transform(() => null), milliseconds]).default(90 * 24 * 3_600_000),
  user: z.string().optional(),
});

export async function addKey(context: Context, [name]: readonly string[], options: unknown): Promise<void> {
  const { claim: claims, expires, user } = given(Adding, options);
  const expiresAt = expires === null ? null : new Date(Date.now() + expires).toISOString();
  const made = await (await context.hub()).send("POST", "/api-keys", MadeApiKey, { body: { name, claims, user, expiresAt } });
  context.remark(
    `For the header X-Api-Key, or DROVER_TOKEN. It is shown this once${made.expiresAt ? `, and ends at ${time(made.expiresAt)}` : ""}.`,
  );
  context.show(made, () => made.secret);
}

export async function revokeKey(context: Context, [name = ""]: readonly string[]): Promise<void> {
  await (await context.hub()).send("DELETE", pathOf("api-keys", name), Nothing);
  context.show({ name }, () => `Revoked ${name}.`);
}
