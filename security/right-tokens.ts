/**
 * Signed tokens that give one right to whoever holds them, and name nothing but what the right is about.
 *
 * The one idea: each kind has an audience of its own, so none passes for another, nor for a user's.
 */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { decodeProtectedHeader, jwtVerify, SignJWT } from "jose";
import { FaultError } from "../domain/errors.ts";
import type { KeyRing } from "./key-ring.ts";

export interface RightKind<Word extends string> {
  readonly audience: string;
  /** What the token names; each is text. */
  readonly words: readonly Word[];
  readonly lifetimeMs: number;
  /** What whoever shows a wrong one is told. */
  readonly refusal: string;
}
export interface RightTokens<Word extends string> {
  issue(about: Readonly<Record<Word, string>>): Promise<{ token: string; expiresAt: Date }>;
  /** Fails with `unauthenticated`. Whether what it names is still there is for the caller to ask. */
  verify(token: string): Promise<{ about: Readonly<Record<Word, string>>; expiresAt: Date }>;
}

/** Always under the ring's own keys: a secret that other programs share for users' tokens gives no such right. */
export function rightTokens<Word extends string>(
  ring: KeyRing,
  { audience, words, lifetimeMs, refusal }: RightKind<Word>,
): RightTokens<Word> {
  const refused = (cause?: unknown) => new FaultError({ code: "unauthenticated", message: refusal }, { cause });
  return {
    issue: async (about) => {
      const key = await ring.current("signing");
      const privateKey = createPrivateKey({ key: Buffer.from(key.secret), format: "der", type: "pkcs8" });
      const expiresAt = new Date(Math.floor((Date.now() + lifetimeMs) / 1000) * 1000);
      const token = new SignJWT({ ...about }).setAudience(audience).setExpirationTime(expiresAt);
      return { token: await token.setProtectedHeader({ alg: "ES256", typ: "JWT", kid: key.id }).sign(privateKey), expiresAt };
    },
    verify: async (token) => {
      try {
        const key = await ring.find("signing", decodeProtectedHeader(token).kid ?? "");
        if (!key?.public) throw refused();
        const publicKey = createPublicKey({ key: { ...key.public }, format: "jwk" });
        const options = { algorithms: ["ES256"], audience, requiredClaims: ["exp", ...words] };
        const { payload } = await jwtVerify(token, publicKey, options);
        const about = Object.fromEntries(words.map((word) => [word, String(payload[word])])) as Record<Word, string>;
        return { about, expiresAt: new Date((payload.exp ?? 0) * 1000) };
      } catch (cause) {
        throw cause instanceof FaultError ? cause : refused(cause);
      }
    },
  };
}
