/**
 * What hosts tell: `POST /host/v1/report`, and `DELETE /host/v1/session` when a host process ends.
 *
 * The one idea: a report may come twice and late, so the answer to a repeated one is the answer to the first.
 */
import type { Logger } from "pino";
import type { Database } from "../../db/connect.ts";
import { recordEvent } from "../../db/events.ts";
import type { Holder } from "../../db/grants.ts";
import { endSession } from "../../db/hosts.ts";
import { takeInventory, type Inventory, type InventoryAnswer } from "../../db/inventories.ts";
import { judgeLeftovers } from "../../db/leftovers.ts";
import { takeLines } from "../../db/reports.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Leftovers, LeftoversAnswer, Report, ReportAnswer } from "../../domain/hosts/schema.ts";
import { outputSeal } from "../../security/sealed-texts.ts";
import type { Sealer } from "../../security/sealing.ts";
import type { Caller, HostCaller } from "../callers.ts";
import { sessionSilentMs } from "../queues.ts";

export interface ReportOptions {
  readonly db: Database;
  readonly hubId: string;
  readonly log: Logger;
  readonly sealer: Sealer;
}

/** An alarm that rings every five seconds is heard by nobody. */
const alarmEveryMs = 60_000;

export function reportHandler({ db, hubId, log, sealer }: ReportOptions) {
  const seal = outputSeal(sealer);
  const alarmed = new Map<string, number>();
  const alarm = async (caller: HostCaller, message: string) => {
    const last = alarmed.get(caller.hostId);
    if (last !== undefined && Date.now() - last < alarmEveryMs) return;
    alarmed.set(caller.hostId, Date.now());
    log.error({ event: "gateway.duplicate_session", hostId: caller.hostId, session: caller.session }, message);
    await recordEvent(db, { type: "host", name: "host.duplicate_session", subjectId: caller.hostId, body: { session: caller.session } });
  };
  const inventory = async (caller: HostCaller, line: Inventory) => {
    if (line.session !== caller.session)
      throw new FaultError({ code: "invalid_request", message: "The inventory's session is not the one of the token." });
    try {
      return await takeInventory(db, { hostId: caller.hostId, hubId, sessionSilentMs }, line);
    } catch (error) {
      if (error instanceof FaultError && error.fault.code === "host_duplicate_session") await alarm(caller, error.message);
      throw error;
    }
  };

  return async (caller: Caller, { lines }: Report): Promise<ReportAnswer> => {
    const inventories = lines.filter((line) => line.kind === "inventory");
    const others = lines.filter((line) => line.kind !== "inventory");
    let accepted = await takeLines(db, seal, holderOf(caller), others);
    let answer: InventoryAnswer = { removeMachines: [] };
    if (inventories.length > 0 && caller.kind !== "host")
      throw new FaultError({ code: "forbidden", message: "Only hosts have an inventory." });
    for (const line of inventories) {
      if (caller.kind !== "host") break;
      answer = await inventory(caller, line);
      accepted += 1;
    }
    return { accepted, ...answer };
  };
}

export const holderOf = (caller: Caller): Holder =>
  caller.kind === "host" ? { hostId: caller.hostId } : { operationId: caller.operationId };

export async function leftovers(db: Database, caller: Caller, lying: Leftovers): Promise<LeftoversAnswer> {
  if (caller.kind !== "host") throw new FaultError({ code: "forbidden", message: "Only hosts keep anything." });
  return judgeLeftovers(db, caller.hostId, lying);
}

export async function goodbye(db: Database, caller: Caller): Promise<void> {
  if (caller.kind === "host") await endSession(db, caller.hostId, caller.session);
}
