/**
 * What both families of routes hold to about API keys: who reaches which, and how free a new one may be.
 *
 * The one idea: the claim for one's own keys reaches no others, no claim reaches those of another project, and whoever came by a limited key makes no freer one.
 */
import { holds } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import { findApiKey, findApiKeyById, type ApiKey } from "../../db/api-keys.ts";
import { unknownClaims } from "../../db/roles.ts";
import { findUser } from "../../db/users.ts";
import type { Hub } from "../ports.ts";

/** Any of the two claims opens the route. */
export const either = <const A extends "LIST" | "CREATE" | "DELETE">(act: A) => ({
  claims: [`${act}_API_KEY`, `${act}_OWN_API_KEY`] as const,
  any: true,
});

/** `project`: of the key's user; undefined of a key that speaks for root. */
export const mayReach = (actor: Actor, key: ApiKey, project: string | undefined, act: "LIST" | "DELETE"): boolean =>
  key.userId === actor.userId || actor.isSuperUser || (project === actor.project && holds(actor, `${act}_API_KEY`));

export async function foundKey(hub: Pick<Hub, "db">, word: string, actor: Actor, act: "LIST" | "DELETE"): Promise<ApiKey> {
  const key = await findApiKey(hub.db, word);
  const user = key?.userId ? await findUser(hub.db, key.userId) : null;
  if (key && mayReach(actor, key, user?.project, act)) return key;
  throw new FaultError({ code: "api_key_not_found", message: `There is no API key ${word}.` });
}

/** The claims of a new key: null for all of its user's. */
export async function limitOfNew({ db }: Pick<Hub, "db">, actor: Actor, wanted: readonly string[] | null): Promise<string[] | null> {
  const [unknown] = wanted === null ? [] : await unknownClaims(db, wanted);
  if (unknown !== undefined) throw new FaultError({ code: "invalid_request", message: `claims: there is no claim ${unknown}.` });
  const own = actor.apiKeyId === null ? null : ((await findApiKeyById(db, actor.apiKeyId))?.claims ?? null);
  if (own === null) return wanted && [...wanted];
  const beyond = wanted?.find((claim) => !own.includes(claim));
  if (beyond === undefined) return wanted ? [...wanted] : own;
  throw new FaultError({ code: "forbidden", message: `The API key of this request is limited, and gives nobody ${beyond}.` });
}
