/** Where a stream of events begins: after the number that its reader names, else with what happens from now on. */
import { lastEventNumber } from "../../db/events.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Hub } from "../ports.ts";

/** `named`: by the query, or by the header that browsers send when they come back. */
export async function placeOf({ db }: Pick<Hub, "db">, named: string | undefined): Promise<number> {
  if (named === undefined || named === "") return lastEventNumber(db);
  const after = /^\d{1,15}$/.test(named) ? Number(named) : Number.NaN;
  if (Number.isSafeInteger(after)) return after;
  throw new FaultError({ code: "invalid_request", message: "The cursor must be the number of an event, as messages tell it." });
}
