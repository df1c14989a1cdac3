/**
 * The right of a caller's own computer to do its part of one push.
 *
 * The one idea: the token names an operation and nothing else. It outlives the login that asked for it, because a push may take hours, and is worth
 * nothing once its operation has ended, because the gateway looks that up each time.
 */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { decodeProtectedHeader, jwtVerify, SignJWT } from "jose";
import { FaultError } from "../domain/errors.ts";
import type { KeyRing } from "./key-ring.ts";

/** A first push of 500 GB over a line of 100 Mbit/s. */
export const transferTokenMs = 12 * 3_600_000;
/** Tokens of users have another, so neither kind passes for the other. */
const audience = "drover-gateway";

export interface TransferTokens {
  issue(operationId: string): Promise<{ token: string; expiresAt: Date }>;
  /** Fails with `unauthenticated`. Whether the operation still runs is for the caller to ask. */
  verify(token: string): Promise<{ operationId: string; expiresAt: Date }>;
}

/** Always under the ring's own keys: a secret that other programs share for users' tokens gives no right to transfers. */
export function transferTokens(ring: KeyRing): TransferTokens {
  return {
    issue: async (operationId) => {
      const key = await ring.current("signing");
      const privateKey = createPrivateKey({ key: Buffer.from(key.secret), format: "der", type: "pkcs8" });
      const expiresAt = new Date(Math.floor((Date.now() + transferTokenMs) / 1000) * 1000);
      const token = new SignJWT({ operation: operationId }).setAudience(audience).setExpirationTime(expiresAt);
      return { token: await token.setProtectedHeader({ alg: "ES256", typ: "JWT", kid: key.id }).sign(privateKey), expiresAt };
    },
    verify: async (token) => {
      try {
        const key = await ring.find("signing", decodeProtectedHeader(token).kid ?? "");
        if (!key?.public) throw refused();
        const publicKey = createPublicKey({ key: { ...key.public }, format: "jwk" });
        const options = { algorithms: ["ES256"], audience, requiredClaims: ["exp", "operation"] };
        const { payload } = await jwtVerify(token, publicKey, options);
        return { operationId: String(payload["operation"]), expiresAt: new Date((payload.exp ?? 0) * 1000) };
      } catch (cause) {
        throw cause instanceof FaultError ? cause : refused(cause);
      }
    },
  };
}

const refused = (cause?: unknown) =>
  new FaultError({ code: "unauthenticated", message: "The token gives no right to a transfer (any more)." }, { cause });
