/**
 * Enrolment tokens: a secret, and after a dot the SHA-256 of the hub authority's certificate.
 *
 * The one idea: whoever carries the token to a host carries the hub's identity with it, so the host's very first connection is already pinned.
 */
import { newSecret, secretHash } from "./secrets.ts";

/** The token, shown once, and what is stored of it. */
export function newEnrolmentToken(authoritySha256: string): { token: string; hash: string } {
  const { secret, hash } = newSecret();
  return { token: `${secret}.${authoritySha256}`, hash };
}

/** `null` for what is no such token. */
export function readEnrolmentToken(token: string): { hash: string; authoritySha256: string } | null {
  const parts = /^([A-Za-z0-9_-]{43})\.([0-9a-f]{64})$/.exec(token.trim());
  const [, secret, authoritySha256] = parts ?? [];
  return secret === undefined || authoritySha256 === undefined ? null : { hash: secretHash(secret), authoritySha256 };
}
