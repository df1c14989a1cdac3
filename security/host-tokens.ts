/**
 * The tokens that a host signs itself with its Ed25519 key. Both ends stand here: a host signs, the gateway verifies.
 *
 * The one idea: a token lives five minutes and names its hub, so one that leaks is soon worthless and one for another hub is worthless here.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from "node:crypto";
import { decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from "jose";
import { FaultError } from "../domain/errors.ts";

export const hostTokenMs = 5 * 60_000;
/** A host knows the hub's time to a second or two; gateways of one hub may differ by more. */
const toleranceSeconds = 60;

/** The private key as an OKP JWK, as the identity file keeps it. */
export interface HostKey {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly d: string;
}

export function newHostKey(): HostKey {
  const { x, d } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  if (x === undefined || d === undefined)
    throw new FaultError({ code: "internal", message: "Node made an Ed25519 key without its parts." });
  return { kty: "OKP", crv: "Ed25519", x, d };
}

/** Who signs: `session` is made anew by every host process, so the gateway can tell two that run under one identity. */
export interface HostClaim {
  readonly key: HostKey;
  readonly hostId: string;
  readonly hubId: string;
  readonly session: string;
}

/** `nowMs` is the hub's time: it is the one who judges. */
export async function signHostToken({ key, hostId, hubId, session }: HostClaim, nowMs = Date.now()): Promise<string> {
  const privateKey = createPrivateKey({ key: { ...key }, format: "jwk" });
  const now = Math.floor(nowMs / 1000);
  const token = new SignJWT({ sid: session, jti: randomUUID() }).setProtectedHeader({ alg: "EdDSA", typ: "JWT" });
  return token
    .setIssuer(hostId)
    .setAudience(hubId)
    .setIssuedAt(now)
    .setExpirationTime(now + hostTokenMs / 1000)
    .sign(privateKey);
}

/** Which host a token claims to be from, or `null` when it is none of a host: not yet proof of anything. */
export function claimedHost(token: string): string | null {
  try {
    if (decodeProtectedHeader(token).alg !== "EdDSA") return null;
    return decodeJwt(token).iss ?? null;
  } catch {
    return null;
  }
}

/** Proves that the token is from the host whose public key (raw, base64url) is given. Answers its session and when it ends. */
export async function verifyHostToken(
  token: string,
  expected: { publicKey: string; hostId: string; hubId: string },
): Promise<{ session: string; expiresAt: Date }> {
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: expected.publicKey }, format: "jwk" });
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: ["EdDSA"],
      issuer: expected.hostId,
      audience: expected.hubId,
      clockTolerance: toleranceSeconds,
      // A host may not give itself more than it is meant to have.
      maxTokenAge: hostTokenMs / 1000,
      requiredClaims: ["exp", "sid"],
    });
    return { session: String(payload["sid"]), expiresAt: new Date((payload.exp ?? 0) * 1000) };
  } catch (cause) {
    throw new FaultError({ code: "unauthenticated", message: `The token of host ${expected.hostId} is not valid (any more).` }, { cause });
  }
}
