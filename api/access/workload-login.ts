/**
 * Letting workloads in: a token of a pipeline becomes a short token of ours, by rules on what it says.
 *
 * The one idea: the platform's token is believed once, for the audience of a rule; what comes of it is short, bound to that rule and never renewed.
 */
import type { IdentityRule, RuleTrial } from "../../domain/access/identity.ts";
import { closest, misfits } from "../../domain/access/workload.ts";
import { FaultError } from "../../domain/errors.ts";
import { recordAudit } from "../../db/audit.ts";
import { takeOnce } from "../../db/identities.ts";
import { listIdentityRules } from "../../db/identity-rules.ts";
import { findUser } from "../../db/users.ts";
import { claimed, toleranceSeconds, type ForeignClaims } from "../../security/foreign-tokens.ts";
import type { Hub } from "../ports.ts";
import { brief, unverified, type Called } from "./claimant.ts";
import type { IssuedToken, Logins } from "./login.ts";

type Believing = Pick<Hub, "db" | "foreign">;

export async function logInWorkload(hub: Believing, login: Logins, token: string, { claimant, ...from }: Called): Promise<IssuedToken> {
  claimant(unverified(token));
  const { claims, rules } = await verified(hub, token);
  claimant({ subject: brief(claims.sub), verified: true });
  const rule = closest(rules.filter((one) => reasonsAgainst(one, claims).length === 0));
  if (!rule) throw refused(`No identity rule fits the workload ${brief(claims.sub)}.`);
  const { iss: issuer = "", jti } = claims;
  if (!jti) throw refused("The token has no jti, so nobody could tell whether it comes again.");
  return hub.db.transaction(async (tx) => {
    if (!(await takeOnce(tx, issuer, jti, new Date((claims.exp + toleranceSeconds) * 1000))))
      throw refused("The token was exchanged already: a workload asks its platform for a new one.");
    const user = await findUser(tx, rule.userId);
    if (!user) throw refused(`The user of the identity rule ${rule.name} was removed.`);
    const subject = `${rule.name}: ${brief(claims.sub)}`;
    await recordAudit(tx, { actor: user.username, action: "login.workload", subject, outcome: "done", ...from });
    return login.issue(user, { identity_rule_id: rule.id }, rule.lifetimeSeconds * 1000);
  });
}

/** What would become of the token, rule by rule; it is not used up. */
export async function tryRules(hub: Believing, token: string): Promise<RuleTrial> {
  const known = await verified(hub, token).catch((error: unknown) => {
    if (error instanceof FaultError && error.fault.code === "identity_refused") return error.fault.message;
    throw error;
  });
  if (typeof known === "string") return { subject: claimed(token).subject, refused: known, claims: {}, taken: null, rules: [] };
  const { claims, rules } = known;
  const tried = rules.map((rule) => ({ rule, reasons: reasonsAgainst(rule, claims) }));
  const taken = closest(tried.flatMap(({ rule, reasons }) => (reasons.length === 0 ? [rule] : [])));
  return {
    subject: claims.sub,
    refused: null,
    claims,
    taken: taken?.name ?? null,
    rules: tried.map(({ rule, reasons }) => ({ name: rule.name, fits: reasons.length === 0, reasons })),
  };
}

async function verified({ db, foreign }: Believing, token: string): Promise<{ claims: ForeignClaims; rules: IdentityRule[] }> {
  const { issuer } = claimed(token);
  const rules = issuer === null ? [] : await listIdentityRules(db, issuer);
  if (issuer === null || rules.length === 0)
    throw refused(`No identity rule is about tokens of ${issuer === null ? "no issuer" : brief(issuer)}.`);
  const audiences = [...new Set(rules.map(({ audience }) => audience))];
  return { claims: await foreign.verify(token, { issuer, audiences, types: ["jwt"] }), rules };
}

function reasonsAgainst(rule: IdentityRule, claims: ForeignClaims): string[] {
  const audiences = [claims.aud ?? []].flat();
  return [
    ...(audiences.includes(rule.audience) ? [] : [`the token is for ${audiences.join(", ")}, not for ${rule.audience}`]),
    ...misfits(rule, claims),
  ];
}

const refused = (message: string) => new FaultError({ code: "identity_refused", message });
