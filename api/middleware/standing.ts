/**
 * How long credentials may speak for their user in a stream, which outlasts the request that brought them.
 *
 * The one idea: a token that ends does not cut a stream, because its login could have been renewed meanwhile; the end of the login, of the key, of the rule
 * or of the user does. Whether it has come is read from the database every few seconds, and at once when somebody's rights changed.
 */
import type { Actor } from "../../domain/access/schema.ts";
import { isBelieved } from "../../db/identities.ts";
import { ruleHolds } from "../../db/identity-rules.ts";
import { findUser } from "../../db/users.ts";
import { markOf } from "../access/login.ts";
import type { Standing } from "../http.ts";
import type { Hub } from "../ports.ts";
import { actorAgain } from "./authenticate.ts";

/** As often it is looked whether whoever waits or follows may still do so. */
export const checkEveryMs = 5_000;

type Access = Pick<Hub, "db" | "settings">;

/** The same caller with the rights of this moment; null when its credentials are worth nothing any more. */
export async function stillStanding({ db, settings }: Access, actor: Actor, standing: Standing): Promise<Actor | null> {
  const { endsAt, login, ruleId } = standing;
  if (endsAt && endsAt.getTime() <= Date.now()) return null;
  if (login && login.since * 1000 + settings.loginLimitMs <= Date.now()) return null;
  if (ruleId !== null && !(await ruleHolds(db, ruleId, actor.userId))) return null;
  if (login && !(await isGood(db, login, actor.userId))) return null;
  return actorAgain({ db }, actor);
}

async function isGood(db: Hub["db"], login: NonNullable<Standing["login"]>, userId: string): Promise<boolean> {
  if ("identity" in login) return isBelieved(db, login.identity, userId);
  const user = await findUser(db, userId);
  return user !== null && login.mark === markOf(user);
}

/** What makes two callers the same: they are asked for once. */
export const standingKey = ({ userId, apiKeyId }: Actor, standing: Standing): string => JSON.stringify([userId, apiKeyId, standing]);
