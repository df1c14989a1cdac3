/**
 * The wire's shapes of users, roles, claims, keys and tokens, and how ours become theirs.
 *
 * The one idea: historical spellings (`isSuperUser` beside `is_super_user`, ids of roles as their names) live here and nowhere else.
 */
import { z } from "zod";
import { accessName } from "../../domain/access/rules.ts";
import type { ApiKey } from "../../db/api-keys.ts";
import type { Claim, Role } from "../../db/roles.ts";
import type { UserRow } from "../../db/users.ts";
import { present } from "../wire/present.ts";

const text = z.string().default("");
/** Longer secrets are cut by some hash functions, so the contract refuses them. */
export const longestSecret = 40;

export const LoginRequest = z.object({ email: text, username: text, password: text, api_key: text }).meta({ id: "LoginRequest" });
export const LoginResponse = z
  .object({ email: z.string(), token: z.string(), expires_at: z.int().meta({ description: "Unix seconds." }) })
  .meta({ id: "LoginResponse" });
export const ValidateTokenRequest = z.object({ token: text }).meta({ id: "ValidateTokenRequest" });
export const ValidateTokenResponse = z.object({ valid: z.boolean() }).meta({ id: "ValidateTokenResponse" });

export const UserCreateRequest = z
  .object({
    username: text,
    name: text,
    email: text,
    password: text,
    roles: z.array(z.string()).default([]),
    claims: z.array(z.string()).default([]),
    is_super_user: z.boolean().default(false),
  })
  .meta({ id: "UserCreateRequest" });

export const UserUpdateRequest = z.object({ name: text, email: text, password: text }).meta({ id: "UserUpdateRequest" });
export const NameRequest = z.object({ name: text }).meta({ id: "NameRequest" });
export const RoleRequest = z.object({ name: text, claims: z.array(z.string()).default([]) }).meta({ id: "RoleRequest" });

const UserClaimResponse = z.object({ id: z.string(), name: z.string(), is_inherited: z.boolean(), source_role: z.string().optional() });
export const ApiUser = z
  .object({
    id: z.string(),
    username: z.string(),
    name: z.string(),
    email: z.string(),
    roles: z.array(z.string()).optional(),
    claims: z.array(z.string()).optional(),
    effective_claims: z.array(UserClaimResponse),
    isSuperUser: z.boolean(),
  })
  .meta({ id: "ApiUser" });

export const ClaimResponse = z
  .object({
    id: z.string(),
    name: z.string(),
    description: z.string().optional(),
    internal: z.boolean(),
    group: z.string().optional(),
    resource: z.string().optional(),
    action: z.string().optional(),
    users: z
      .array(z.record(z.string(), z.unknown()))
      .optional()
      .meta({ description: "Those who hold it themselves; told of one claim only." }),
  })
  .meta({ id: "ClaimResponse" });
export const RoleResponse = z
  .object({
    id: z.string(),
    name: z.string(),
    description: z.string().optional(),
    internal: z.boolean(),
    claims: z.array(ClaimResponse),
    users: z.array(z.record(z.string(), z.unknown())),
  })
  .meta({ id: "RoleResponse" });

export const ApiKeyRequest = z
  .object({ name: text, key: text, secret: text, expires_at: text, user_id: text })
  .meta({ id: "ApiKeyRequest" });
export const ApiKeyResponse = z
  .object({
    id: z.string(),
    name: z.string(),
    key: z.string(),
    encoded: z.string().optional(),
    revoked: z.boolean().optional(),
    revoked_at: z.string().optional(),
    expires_at: z.string().optional(),
    user_id: z.string().optional(),
    user_email: z.string().optional(),
    user_name: z.string().optional(),
    user_username: z.string().optional(),
  })
  .meta({ id: "ApiKeyResponse" });

export function wireUser(user: UserRow): z.input<typeof ApiUser> {
  const direct = user.claims.map((id) => ({ id, name: id, is_inherited: false }));
  const inherited = Object.entries(user.inherited).flatMap(([role, claims]) =>
    claims.map((id) => ({ id, name: id, is_inherited: true, source_role: role })),
  );
  const seen = new Set(user.claims);
  const new_ = inherited.filter(({ id }) => !seen.has(id) && seen.add(id));
  return {
    id: user.id,
    username: user.username,
    name: user.name,
    email: user.email,
    ...present({ roles: user.roles, claims: user.claims }),
    effective_claims: [...direct, ...new_],
    isSuperUser: user.isSuperUser,
  };
}

export function wireClaim(claim: Claim): z.input<typeof ClaimResponse> {
  const { id, internal, group, resource, action } = claim;
  const description = claim.description || (action && resource ? `May ${action}: ${resource}.` : "");
  return { id, name: id, internal, ...present({ description, group, resource, action }) };
}

const groupOrder = ["Administration", "VMs", "Catalog", "Catalog Manager", "Reverse Proxy", "Cache", "Jobs", "SSH", "Custom"];
export const ClaimGroupResponse = z
  .object({ group: z.string(), resources: z.array(z.object({ resource: z.string(), claims: z.array(ClaimResponse) })) })
  .meta({ id: "ClaimGroupResponse" });

export function groupedClaims(claims: readonly Claim[]): z.input<typeof ClaimGroupResponse>[] {
  const place = (group: string) => (groupOrder.includes(group) ? groupOrder.indexOf(group) : groupOrder.length);
  return [...Map.groupBy(claims, ({ group }) => group)]
    .toSorted(([a], [b]) => place(a) - place(b))
    .map(([group, some]) => ({
      group,
      resources: [...Map.groupBy(some, ({ resource }) => resource)].map(([resource, of]) => ({ resource, claims: of.map(wireClaim) })),
    }));
}

/** Users as they stand within roles and claims. */
const wireHolder = ({ id, username, name, email, isSuperUser }: UserRow) => ({
  id,
  username,
  name,
  email,
  effective_claims: null,
  isSuperUser,
});

export function wireClaimWithHolders(claim: Claim, users: readonly UserRow[]): z.input<typeof ClaimResponse> {
  return { ...wireClaim(claim), ...present({ users: users.filter(({ claims }) => claims.includes(claim.id)).map(wireHolder) }) };
}

export function wireRole(role: Role, claims: readonly Claim[], users: readonly UserRow[]): z.input<typeof RoleResponse> {
  const own = role.claims.flatMap((id) => claims.filter((claim) => claim.id === id));
  const holders = users.filter((user) => user.roles.includes(role.id)).map(wireHolder);
  return {
    id: role.id,
    name: role.id,
    ...present({ description: role.description }),
    internal: role.internal,
    claims: own.map(wireClaim),
    users: holders,
  };
}

export function wireApiKey(key: ApiKey, user: UserRow | null, encoded?: string): z.input<typeof ApiKeyResponse> {
  const owner = encoded === undefined && user ? { user_email: user.email, user_name: user.name, user_username: user.username } : {};
  const times = { revoked: key.revokedAt !== null, revoked_at: key.revokedAt?.toISOString(), expires_at: key.expiresAt?.toISOString() };
  return { id: key.id, name: key.name, key: key.key, ...present({ encoded, ...times, user_id: key.userId, ...owner }) };
}

export const names = (words: readonly string[]): string[] => [...new Set(words.map(accessName).filter((word) => word !== ""))];
