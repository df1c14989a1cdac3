/**
 * The tokens that users carry, with the payload names that clients of the Parallels DevOps service read, and the care that RFC 8725 asks for.
 *
 * The one idea: what a token may be signed with is decided by us and never by the token: ES256 under a key of ours, or HS256 where a secret is set. It is
 * worth something at the hub that issued it only, and for its API only.
 */
import { createPrivateKey, createPublicKey, randomUUID } from "node:crypto";
import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import { FaultError } from "../domain/errors.ts";
import type { KeyRing } from "./key-ring.ts";

export const UserClaims = z.object({
  email: z.string(),
  username: z.string(),
  uid: z.string(),
  roles: z.array(z.string()),
  claims: z.array(z.string()),
  api_key_id: z.string().optional(),
  /** Of a workload: the rule that let it in. */
  identity_rule_id: z.string().optional(),
  /** Of a login that may be renewed: when it began (Unix seconds), and what it began with: a mark of the password, or the id of an identity. */
  login: z.union([z.object({ since: z.int(), mark: z.string() }), z.object({ since: z.int(), identity: z.string() })]).optional(),
});
export type UserClaims = z.infer<typeof UserClaims>;

export interface VerifiedToken extends UserClaims {
  readonly expiresAt: Date;
}

export interface Signer {
  issue(claims: UserClaims, lifetimeMs: number): Promise<{ token: string; expiresAt: Date }>;
  /** Fails with `unauthenticated`. The claims tell who it is; what they may do is read from the database. */
  verify(token: string): Promise<VerifiedToken>;
  /** The public keys, for whoever wants to check our tokens. Empty where a shared secret signs them. */
  jwks(): Promise<{ keys: Array<Record<string, unknown>> }>;
}

/** Hosts' and transfers' tokens have others, so none passes for another. */
const audience = "drover-api";

/** With a `secret` (JWT_HMACS_SECRET) tokens are HS256, else ES256 under the ring's signing keys. */
export function userTokens(ring: KeyRing, { hubId, secret }: { hubId: string; secret?: string | undefined }): Signer {
  const issuer = `urn:uuid:${hubId}`;
  const shared = secret === undefined ? null : Buffer.from(secret);
  const issue: Signer["issue"] = async (claims, lifetimeMs) => {
    const expiresAt = new Date(Math.floor((Date.now() + lifetimeMs) / 1000) * 1000);
    const token = new SignJWT({ ...UserClaims.parse(claims) })
      .setIssuer(issuer)
      .setAudience(audience)
      .setJti(randomUUID())
      .setIssuedAt()
      .setExpirationTime(expiresAt);
    if (shared) return { token: await token.setProtectedHeader({ alg: "HS256", typ: "JWT" }).sign(shared), expiresAt };
    const key = await ring.current("signing");
    const privateKey = createPrivateKey({ key: Buffer.from(key.secret), format: "der", type: "pkcs8" });
    return { token: await token.setProtectedHeader({ alg: "ES256", typ: "JWT", kid: key.id }).sign(privateKey), expiresAt };
  };
  const expected = { issuer, audience, typ: "JWT", requiredClaims: ["exp", "jti"] };
  const verify: Signer["verify"] = async (token) => {
    try {
      const { payload } = shared
        ? await jwtVerify(token, shared, { ...expected, algorithms: ["HS256"] })
        : await jwtVerify(token, await publicKeyOf(ring, token), { ...expected, algorithms: ["ES256"] });
      return { ...UserClaims.parse(payload), expiresAt: new Date((payload.exp ?? 0) * 1000) };
    } catch (cause) {
      throw refused(cause);
    }
  };
  const jwks: Signer["jwks"] = async () => ({ keys: shared ? [] : (await ring.all("signing")).map((key) => ({ ...key.public })) });
  return { issue, verify, jwks };
}

async function publicKeyOf(ring: KeyRing, token: string) {
  const { kid } = decodeProtectedHeader(token);
  const key = kid === undefined ? null : await ring.find("signing", kid);
  if (!key?.public) throw unauthenticated("The token was signed by a key that this hub does not have.");
  return createPublicKey({ key: { ...key.public }, format: "jwk" });
}

function refused(cause: unknown): unknown {
  if (cause instanceof FaultError) return cause;
  if (cause instanceof errors.JWTExpired) return unauthenticated("The token has expired.", cause);
  if (cause instanceof errors.JOSEError || cause instanceof z.ZodError || cause instanceof TypeError)
    return unauthenticated("The token is not one of this hub.", cause);
  return cause;
}

const unauthenticated = (message: string, cause?: unknown) => new FaultError({ code: "unauthenticated", message }, { cause });
