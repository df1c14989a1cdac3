/** Who acts: users, their roles and claims, and the keys and tokens that stand for them. */
import { z } from "zod";
import { Uuid } from "../ids.ts";

/** The wire's ids of users are 32 to 64 hexadecimal digits; ours are UUIDs. Both are opaque. */
export const User = z
  .object({
    id: z.string(),
    username: z.string(),
    name: z.string(),
    email: z.string(),
    roles: z.array(z.string()),
    claims: z.array(z.string()),
    effectiveClaims: z.array(z.string()),
    createdAt: z.date(),
  })
  .meta({ id: "User" });
export type User = z.infer<typeof User>;

/** Whoever a request speaks for. `claims` are the effective ones. */
export const Actor = z.object({
  userId: z.string(),
  username: z.string(),
  email: z.string(),
  project: z.string(),
  roles: z.array(z.string()),
  claims: z.array(z.string()),
  isSuperUser: z.boolean(),
  apiKeyId: Uuid.nullable(),
});
export type Actor = z.infer<typeof Actor>;

export const Login = z.object({ username: z.string().min(1), password: z.string().min(1) }).meta({ id: "Login" });
export const Token = z.object({ token: z.string(), expiresAt: z.date(), username: z.string() }).meta({ id: "Token" });
