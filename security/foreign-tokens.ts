/**
 * Tokens of identity providers: checked against the keys that their issuer publishes.
 *
 * The one idea: the caller of this names the issuer and the audience; from the token comes only what its signature covers. An issuer is asked for its keys
 * so seldom that no stream of tokens, good or bad, makes us ask more often.
 */
import { createRemoteJWKSet, customFetch, decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from "jose";
import { FaultError } from "../domain/errors.ts";
import { discover, fetchJson, type Metadata } from "./discovery.ts";

/** Signatures with a private key only: nothing that is public ever proves anything. */
export const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
/** Clocks of two computers differ. */
export const toleranceSeconds = 30;
/** A key that is not known is looked for so often, and a provider that did not answer is asked again after this. */
const coolDownMs = 30_000;
/** A key that its provider took back is believed for this long at most. */
const keysMs = 600_000;
/** No provider has longer names for its users. */
const longestSubject = 255;

export interface Expected {
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Of the header's `typ`, in lower case; a token without one passes. */
  readonly types: readonly string[];
  /** How old it may be. */
  readonly maxAgeSeconds?: number;
}
export type ForeignClaims = JWTPayload & { readonly sub: string; readonly exp: number; readonly iat: number };

export interface ForeignTokens {
  /** Fails with `identity_refused`, or as `discover` does where the provider is away. */
  verify(token: string, expected: Expected): Promise<ForeignClaims>;
}

interface Known {
  readonly at: number;
  readonly keys: Promise<JWTVerifyGetKey>;
}

export function foreignTokens(): ForeignTokens {
  const issuers = new Map<string, Known>();
  const keysOf = (issuer: string): Promise<JWTVerifyGetKey> => {
    const known = issuers.get(issuer);
    if (known && Date.now() - known.at < keysMs) return known.keys;
    const keys = discover(issuer).then(remoteKeys);
    issuers.set(issuer, { at: Date.now(), keys });
    // A failure is remembered too, for as long as the cool-down.
    keys.catch(() => issuers.set(issuer, { at: Date.now() - keysMs + coolDownMs, keys }));
    return keys;
  };
  return {
    verify: async (token, { issuer, audiences, types, maxAgeSeconds }) => {
      const keys = await keysOf(issuer);
      const age = maxAgeSeconds === undefined ? {} : { maxTokenAge: maxAgeSeconds };
      const required = ["sub", "exp", "iat"];
      const options = { issuer, audience: [...audiences], algorithms, clockTolerance: toleranceSeconds, requiredClaims: required, ...age };
      const { payload, protectedHeader } = await jwtVerify(token, keys, options).catch((cause: unknown) => refuse(issuer, cause));
      if (!types.includes(protectedHeader.typ?.toLowerCase() ?? "jwt"))
        throw refused(`A token of type ${protectedHeader.typ} is none for this.`);
      const { sub, exp, iat } = payload;
      if (!sub || sub.length > longestSubject || exp === undefined || iat === undefined)
        throw refused("The token does not name its subject.");
      return { ...payload, sub, exp, iat };
    },
  };
}

/** Remembers a failure: jose itself counts its cool-down from the last success. */
function remoteKeys({ jwks_uri }: Metadata): JWTVerifyGetKey {
  let failure: { at: number; error: unknown } | null = null;
  const calmly = async (url: string): Promise<Response> => {
    if (failure && Date.now() - failure.at < coolDownMs) throw failure.error;
    try {
      return Response.json(await fetchJson(url));
    } catch (error) {
      failure = { at: Date.now(), error };
      throw error;
    }
  };
  return createRemoteJWKSet(new URL(jwks_uri), { cooldownDuration: coolDownMs, cacheMaxAge: keysMs, [customFetch]: calmly });
}

function refuse(issuer: string, cause: unknown): never {
  if (cause instanceof errors.JWTExpired) throw refused("The token has expired.", cause);
  if (cause instanceof errors.JWTClaimValidationFailed)
    throw refused(`The token's ${cause.claim} is not the one that is needed here.`, cause);
  if (cause instanceof errors.JOSEError || cause instanceof TypeError) throw refused(`The token is not one that ${issuer} signed.`, cause);
  throw cause;
}

const refused = (message: string, cause?: unknown) => new FaultError({ code: "identity_refused", message }, { cause });

/** What a token says of itself, believed by nobody: which issuer's keys to try, and whom to name when it is refused. */
export function claimed(token: string): { issuer: string | null; subject: string | null } {
  try {
    const { iss, sub } = decodeJwt(token);
    return { issuer: typeof iss === "string" ? iss : null, subject: typeof sub === "string" ? sub : null };
  } catch {
    return { issuer: null, subject: null };
  }
}

/** How many keys an issuer has, for whoever sets it up. */
export async function countKeys({ jwks_uri }: Metadata): Promise<number> {
  const set = await fetchJson(jwks_uri);
  return typeof set === "object" && set !== null && "keys" in set && Array.isArray(set.keys) ? set.keys.length : 0;
}
