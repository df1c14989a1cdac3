/**
 * The right of a caller's own computer to do its part of one push.
 *
 * The one idea: the token names an operation and nothing else. It outlives the login that asked for it, because a push may take hours, and is worth
 * nothing once its operation has ended, because the gateway looks that up each time.
 */
import type { KeyRing } from "./key-ring.ts";
import { rightTokens } from "./right-tokens.ts";

/** A first push of 500 GB over a line of 100 Mbit/s. */
export const transferTokenMs = 12 * 3_600_000;

export interface TransferTokens {
  issue(operationId: string): Promise<{ token: string; expiresAt: Date }>;
  /** Fails with `unauthenticated`. Whether the operation still runs is for the caller to ask. */
  verify(token: string): Promise<{ operationId: string; expiresAt: Date }>;
}

export function transferTokens(ring: KeyRing): TransferTokens {
  const tokens = rightTokens(ring, {
    audience: "drover-gateway",
    words: ["operation"],
    lifetimeMs: transferTokenMs,
    refusal: "The token gives no right to a transfer (any more).",
  });
  return {
    issue: (operation) => tokens.issue({ operation }),
    verify: async (token) => {
      const { about, expiresAt } = await tokens.verify(token);
      return { operationId: about.operation, expiresAt };
    },
  };
}
