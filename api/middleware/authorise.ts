/**
 * What a route asks of its caller, declared on the route.
 *
 * The one idea: one check for both families of routes; only the words of the refusal differ.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { Actor } from "../../domain/access/schema.ts";
import { mayUse, type Needs } from "../../domain/access/rules.ts";
import { FaultError } from "../../domain/errors.ts";
import type { ApiEnv } from "../http.ts";
import type { Hub } from "../ports.ts";
import { isWire } from "../paths.ts";
import { identify } from "./authenticate.ts";
import { bringsNone } from "./rates.ts";
import { stillStanding } from "./standing.ts";

/** What each guard asks for: the routes of an app tell by it what they need. */
const declared = new WeakMap<object, Needs>();
export const needsOf = (handler: object): Needs | undefined => declared.get(handler);

export function authorised(hub: Hub, needs: Needs): MiddlewareHandler<ApiEnv> {
  const guard = guarding(hub, needs);
  declared.set(guard, needs);
  return guard;
}

const guarding =
  (hub: Hub, needs: Needs): MiddlewareHandler<ApiEnv> =>
  async (c, next) => {
    const identity = await identify(hub, c);
    if (!identity.ok) {
      // One that brings none was counted when it came.
      if (!bringsNone(c)) hub.rates.stranger(c);
      return unauthenticated(c, identity.description);
    }
    // Also of whoever is refused: the log and the audit tell who it was.
    c.set("actor", identity.actor);
    c.set("standing", identity.standing);
    return hub.rates.during(c, identity.actor, async () => {
      const verdict = mayUse(identity.actor, needs);
      if (!verdict.ok) return isWire(c.req.path) ? oauth(c, verdict.fault.message) : thrown(new FaultError(verdict.fault));
      c.set("needs", needs);
      return next();
    });
  };

/** For whoever waits long: the caller as it is now; throws once it may not call this route any more. */
export async function mustStillBe(hub: Pick<Hub, "db" | "settings">, c: Context<ApiEnv>): Promise<Actor> {
  const { standing } = c.var;
  const actor = standing ? await stillStanding(hub, actorOf(c), standing) : null;
  if (!actor) throw new FaultError({ code: "unauthenticated", message: "The credentials of this request have ended." });
  const verdict = mayUse(actor, c.var.needs ?? {});
  if (!verdict.ok) throw new FaultError(verdict.fault);
  return actor;
}

/** The caller of a route that has passed `authorised`. */
export function actorOf(c: Context<ApiEnv>): Actor {
  const actor = c.get("actor");
  if (actor) return actor;
  throw new FaultError({ code: "unauthenticated", message: "The request carries no credentials." });
}

function unauthenticated(c: Context<ApiEnv>, description: string | null): Response {
  if (!isWire(c.req.path)) throw new FaultError({ code: "unauthenticated", message: "The request carries no valid credentials." });
  return description === null ? c.json(null, 401) : oauth(c, description);
}

const oauth = (c: Context<ApiEnv>, description: string) => c.json({ error: "unauthorized_client", error_description: description }, 401);

function thrown(error: FaultError): never {
  throw error;
}
