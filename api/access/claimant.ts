/**
 * Whom a token of somebody else speaks of, for the records of its request.
 *
 * The one idea: a refusal names who was refused, and says where only the token itself claims it; the token is never written down.
 */
import { claimed } from "../../security/foreign-tokens.ts";
import type { Claimant } from "../http.ts";

/** A request with such a token. */
export interface Called {
  readonly requestId: string;
  readonly source: string;
  readonly claimant: (who: Claimant) => void;
}

export const unverified = (token: string): Claimant => ({
  subject: `unverified: ${brief(claimed(token).subject ?? "no subject")}`,
  verified: false,
});

/** Words of a stranger, fit for a record. */
export const brief = (text: string): string => text.replace(/[^\x20-\x7e]/g, "?").slice(0, 200);
