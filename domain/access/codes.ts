/** Faults of identity, permission and of requests as such. */
import type { CodeFacts } from "../errors.ts";

export const accessCodes = {
  invalid_request: { kind: "invalid", remedy: "Correct the named field and send the request again." },
  route_not_found: { kind: "not_found", remedy: "See /docs for the routes that exist." },
  method_not_allowed: { kind: "invalid", wireStatus: 405, remedy: "See /docs for the methods of this route." },
  unauthenticated: { kind: "unauthenticated", remedy: "Log in with `drover login`, or send a bearer token or an API key." },
  forbidden: { kind: "forbidden", wireStatus: 401, remedy: "Ask an administrator for the named claim or role." },
  not_owner: { kind: "forbidden", remedy: "Ask its owner, or an administrator for the claim that reaches what others own." },
  user_not_found: { kind: "not_found", remedy: "List the users to see their ids and names." },
  user_exists: { kind: "conflict", wireStatus: 400, remedy: "Choose another user name or e-mail address." },
  api_key_not_found: { kind: "not_found", remedy: "List the API keys to see their ids and names." },
  api_key_exists: { kind: "conflict", remedy: "Choose another name, or revoke the key that has it." },
  identity_provider_not_found: { kind: "not_found", remedy: "See `drover identity provider list`." },
  identity_provider_exists: {
    kind: "conflict",
    remedy: "Change the one that there is with `drover identity provider edit`, or choose another name.",
  },
  identity_provider_invalid: {
    kind: "invalid",
    remedy: "Correct the issuer or the provider; `drover identity provider test` shows what it answers.",
  },
  identity_provider_unreachable: { kind: "unavailable", remedy: "See that the provider runs and that the hub reaches it, then try again." },
  identity_refused: {
    kind: "unauthenticated",
    remedy: "Ask an administrator of the hub: the audit (`drover audit list --outcome refused`) names who was refused.",
  },
  identity_rule_not_found: { kind: "not_found", remedy: "See `drover identity rule list`." },
  identity_rule_exists: { kind: "conflict", remedy: "Choose another name, or remove the rule that has it." },
  too_many_attempts: { kind: "limited", remedy: "Wait until the time named in the answer, then log in with the right password." },
  project_not_found: { kind: "not_found", remedy: "`drover project list` shows the projects." },
  project_exists: { kind: "conflict", remedy: "Choose another name, or use the project that has it." },
  quota_exceeded: {
    kind: "limited",
    wireStatus: 400,
    remedy: "Retire machines or delete images of the project, or have an administrator raise its quota (`drover project quota set`).",
  },
  rate_limited: { kind: "limited", remedy: "Wait for as long as Retry-After says; DROVER_RATE_CALLER and its neighbours set the limits." },
  overloaded: { kind: "unavailable", remedy: "Try again after as long as Retry-After says; more API processes take more." },
  changed_meanwhile: {
    kind: "precondition_failed",
    remedy: "Read it again, decide anew, and send the change with the ETag that it has now.",
  },
  idempotency_conflict: { kind: "conflict", remedy: "Use a new Idempotency-Key for a request with another body." },
  configuration_invalid: { kind: "invalid", remedy: "Correct the listed variables; `drover config` shows what is in force." },
  master_key_lost: {
    kind: "unavailable",
    remedy:
      "Bring the key back: `drover key import`, or DROVER_MASTER_KEY. Where it is gone for good, read docs/keys.md and use `drover key forget`.",
  },
  master_key_works: { kind: "conflict", remedy: "Use `drover key rotate --master` to change a key that works." },
  internal: { kind: "internal", remedy: "Look for the request's id in the log of the process that answered, and report it." },
  hub_unavailable: { kind: "unavailable", remedy: "Check that the hub runs (`drover doctor`), then try again." },
} as const satisfies Record<string, CodeFacts>;
