/**
 * Whom a token of somebody else speaks of, for the records of its request.
 *
 * The one idea: a refusal names who was refused, and says where only the token itself claims it; the token is never written down.
 */
import { claimed } from "../../security/foreign-tokens.ts";

/** A request with such a token. */
export interface Called {
  readonly requestId: string;
  readonly claimant: (who: string) => void;
}

export const claimedSubject = (token: string): string => `unverified: ${brief(claimed(token).subject ?? "no subject")}`;

/** Words of a stranger, fit for a record. */
export const brief = (text: string): string => text.replace(/[^\x20-\x7e]/g, "?").slice(0, 200);
