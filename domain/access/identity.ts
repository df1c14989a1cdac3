/**
 * Identity providers and rules for workloads: whom a hub believes about who somebody is.
 *
 * The one idea: nothing here is a secret. The command line is a public client with PKCE and workloads bring tokens of their own, so there is nothing to steal.
 */
import { z } from "zod";
import { withoutAbsent } from "../fields.ts";
import { Uuid } from "../ids.ts";
import { isSafeIssuer } from "./issuers.ts";
import { ruleFaults } from "./workload.ts";

const Name = z
  .string()
  .trim()
  .regex(/^[A-Za-z0-9][\w.-]{0,62}$/, "must be 1 to 63 letters, digits, dots, dashes or underscores");
const word = z.string().min(1).max(255);
const Issuer = z
  .string()
  .max(512)
  .refine(isSafeIssuer, "must be an https address without query, as the provider's discovery document spells it; http on loopback only");
const ClaimName = z.string().min(1).max(128);

/** More groups than one provider's mapping names, and more roles than one hub has. */
const GroupRoles = z
  .record(word, z.array(z.string().min(1).max(128)).min(1).max(32))
  .refine((mapping) => Object.keys(mapping).length <= 200, "names at most 200 groups")
  .meta({ description: "Roles by group; the group `*` is everybody." });

const providerFields = {
  clientId: word.meta({ description: "Of a public client: it has no secret, and uses PKCE." }),
  scopes: z.array(word).max(32),
  userNameClaim: ClaimName,
  groupsClaim: ClaimName,
  groupRoles: GroupRoles,
  makesUsers: z.boolean().meta({ description: "Whether whoever logs in for the first time becomes a user." }),
  bearerAudiences: z.array(word).max(16).meta({ description: "Tokens of the provider that name one of these are taken by the API." }),
};
/** What a provider must fulfil as a whole, new or changed. */
interface Whole {
  readonly clientId: string;
  readonly scopes: readonly string[];
  readonly groupRoles: Readonly<Record<string, readonly string[]>>;
  readonly makesUsers: boolean;
  readonly bearerAudiences: readonly string[];
}
export function providerFaults({ clientId, scopes, groupRoles, makesUsers, bearerAudiences }: Whole): string[] {
  return [
    ...(scopes.includes("openid") ? [] : ["scopes: must contain openid, without which no provider tells who somebody is"]),
    ...(makesUsers && Object.keys(groupRoles).length === 0
      ? ["groupRoles: users made at their first login need a role, such as USER for the group *"]
      : []),
    ...(bearerAudiences.includes(clientId)
      ? ["bearerAudiences: must not contain the client id, whose tokens are for the command line; give the API an audience of its own"]
      : []),
  ];
}
const whole = (provider: Whole, context: z.RefinementCtx): void => {
  for (const message of providerFaults(provider)) context.addIssue(message);
};

export const NewIdentityProvider = z
  .object({
    name: Name,
    issuer: Issuer,
    ...providerFields,
    scopes: providerFields.scopes.default(["openid", "profile", "email"]),
    userNameClaim: ClaimName.default("preferred_username"),
    groupsClaim: ClaimName.default("groups"),
    groupRoles: GroupRoles.default({}),
    makesUsers: z.boolean().default(false),
    bearerAudiences: providerFields.bearerAudiences.default([]),
  })
  .superRefine(whole)
  .meta({ id: "NewIdentityProvider" });
export type NewIdentityProvider = z.infer<typeof NewIdentityProvider>;

/** Not the issuer: who its subjects are would change in silence. */
export const IdentityProviderChange = z
  .object({ name: Name, ...providerFields })
  .partial()
  .meta({ id: "IdentityProviderChange" });
export type IdentityProviderChange = z.infer<typeof IdentityProviderChange>;

export const IdentityProvider = z
  .object({ id: Uuid, name: z.string(), issuer: z.string(), ...providerFields, createdAt: z.date(), updatedAt: z.date() })
  .meta({ id: "IdentityProvider" });
export type IdentityProvider = z.infer<typeof IdentityProvider>;

/** The provider as a change makes it. */
export const changedProvider = (before: IdentityProvider, change: IdentityProviderChange): IdentityProvider =>
  IdentityProvider.parse({ ...before, ...withoutAbsent(change) });

/** What a command line needs to send somebody to a provider. */
export const LoginProvider = IdentityProvider.pick({ name: true, issuer: true, clientId: true, scopes: true }).meta({
  id: "LoginProvider",
});
export const ProviderLogin = z
  .object({ provider: Name, idToken: z.string().min(1).max(16_384) })
  .meta({ id: "ProviderLogin", description: "The ID token that the provider gave to the command line." });
export type ProviderLogin = z.infer<typeof ProviderLogin>;

export const ProviderReport = z
  .object({
    issuer: z.string(),
    authorizationEndpoint: z.string().nullable(),
    deviceEndpoint: z.string().nullable(),
    tokenEndpoint: z.string().nullable(),
    keys: z.int().meta({ description: "How many keys the provider signs with." }),
    algorithms: z.array(z.string()).meta({ description: "Those of its ID tokens that are taken here." }),
    remarks: z.array(z.string()).meta({ description: "What will not work." }),
  })
  .meta({ id: "ProviderReport" });
export type ProviderReport = z.infer<typeof ProviderReport>;

/** A step of a pipeline lasts minutes; whatever lasts longer asks its platform for a new token. */
const [leastSeconds, mostSeconds] = [60, 3600];

export const NewIdentityRule = z
  .object({
    name: Name,
    issuer: Issuer,
    audience: word.meta({ description: "The token must be for it." }),
    conditions: z
      .record(ClaimName, z.string().min(1).max(256))
      .refine((conditions) => Object.keys(conditions).length <= 32, "names at most 32 claims")
      .meta({ description: "By claim: its value, in which `*` stands for anything but / and :, and `**` for anything." }),
    user: word.meta({ description: "The id or name of the user that such a workload acts as." }),
    lifetimeSeconds: z.int().min(leastSeconds).max(mostSeconds).default(900),
  })
  .superRefine((rule, context) => {
    for (const message of ruleFaults(rule)) context.addIssue({ code: "custom", message, path: ["conditions"] });
  })
  .meta({ id: "NewIdentityRule" });
export type NewIdentityRule = z.infer<typeof NewIdentityRule>;

export const IdentityRule = z
  .object({
    id: Uuid,
    name: z.string(),
    issuer: z.string(),
    audience: z.string(),
    conditions: z.record(z.string(), z.string()),
    userId: z.string(),
    username: z.string(),
    lifetimeSeconds: z.int(),
    createdBy: z.string(),
    createdAt: z.date(),
  })
  .meta({ id: "IdentityRule" });
export type IdentityRule = z.infer<typeof IdentityRule>;

export const WorkloadLogin = z.object({ token: z.string().min(1).max(16_384) }).meta({ id: "WorkloadLogin" });

export const RuleTrial = z
  .object({
    subject: z.string().nullable(),
    refused: z.string().nullable().meta({ description: "Why the token itself is not believed; then nothing else is told." }),
    claims: z.record(z.string(), z.unknown()).meta({ description: "What the token says; a rule can ask for any of it." }),
    taken: z.string().nullable().meta({ description: "The rule by which a login would be let in." }),
    rules: z.array(z.object({ name: z.string(), fits: z.boolean(), reasons: z.array(z.string()) })),
  })
  .meta({ id: "RuleTrial" });
export type RuleTrial = z.infer<typeof RuleTrial>;
