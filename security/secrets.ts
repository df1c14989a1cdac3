/**
 * Secrets that we make: API keys and enrolment tokens of 256 random bits.
 *
 * The one idea: nobody can guess 256 bits, so a plain SHA-256 is enough to keep them by; only secrets that callers chose need Argon2id.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Passwords } from "./passwords.ts";

const prefix = "sha256:";

/** Random bytes as base64url that no command line takes for an option. */
export function randomWord(bytes: number): string {
  const word = randomBytes(bytes).toString("base64url");
  return word.startsWith("-") ? randomWord(bytes) : word;
}

/** The secret, shown once, and what is stored of it. */
export function newSecret(): { secret: string; hash: string } {
  const secret = randomWord(32);
  return { secret, hash: secretHash(secret) };
}

export const secretHash = (secret: string): string => `${prefix}${createHash("sha256").update(secret).digest("hex")}`;

/** `stored` is `sha256:<hex>` of a secret of ours, or the Argon2id string of one that a caller chose. */
export async function secretMatches(secret: string, stored: string, passwords: Passwords): Promise<boolean> {
  if (!stored.startsWith(prefix)) return passwords.matches(secret, stored);
  const [a, b] = [Buffer.from(secretHash(secret)), Buffer.from(stored)];
  return a.byteLength === b.byteLength && timingSafeEqual(a, b);
}
