/**
 * API keys as our own routes show them.
 *
 * The one idea: what a key may do is what both its user and its own list of claims allow, at the moment of the request.
 */
import { z } from "zod";
import { Uuid } from "../ids.ts";

const claims = z.array(z.string().min(1).max(128)).min(1).max(200);

export const ApiKey = z
  .object({
    id: Uuid,
    name: z.string(),
    userId: z.string().nullable(),
    username: z.string().nullable(),
    claims: z.array(z.string()).nullable().meta({ description: "Those that it is limited to; null for all of its user's." }),
    expiresAt: z.date().nullable(),
    expired: z.boolean(),
    revokedAt: z.date().nullable(),
    createdAt: z.date(),
  })
  .meta({ id: "ApiKey" });
export type ApiKey = z.infer<typeof ApiKey>;

export const NewApiKey = z
  .object({
    name: z.string().trim().min(1).max(128),
    user: z.string().min(1).max(255).optional().meta({ description: "Only super users make keys for others." }),
    claims: claims.nullable().default(null),
    expiresAt: z.iso
      .datetime({ offset: true })
      .transform((text) => new Date(text))
      .nullable()
      .default(null),
  })
  .meta({ id: "NewApiKey" });
export type NewApiKey = z.infer<typeof NewApiKey>;

export const MadeApiKey = ApiKey.extend({
  secret: z.string().meta({ description: "For the header `X-Api-Key`. It is shown this once." }),
}).meta({ id: "MadeApiKey" });
