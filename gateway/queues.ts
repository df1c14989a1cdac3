/**
 * Who may poll which queue.
 *
 * The one idea: whole names are compared, never prefixes. A host has one queue; a caller's computer has that of its operation until this has ended.
 */
import type { Database } from "../db/connect.ts";
import { findHostIdentity } from "../db/hosts.ts";
import { findOperation } from "../db/operations.ts";
import { FaultError } from "../domain/errors.ts";
import { reportIntervalMs } from "../domain/hosts/rules.ts";
import { callerQueue, hostQueue, isSettled } from "../domain/operations/rules.ts";
import type { Caller, HostCaller } from "./callers.ts";

/** A live host reports every 5 s; two seconds more allow for a slow line. */
export const sessionSilentMs = reportIntervalMs + 2_000;

export interface QueueRules {
  /** Whether the name alone is one that this caller may have; no more than that. */
  owns(caller: Caller, queue: string): boolean;
  /** Fails with `forbidden` unless this caller may poll this queue now. */
  check(caller: Caller, queue: string): Promise<void>;
  /** Whether another process of the same host is alive. */
  isDisplaced(caller: HostCaller): Promise<boolean>;
}

export function queueRules(db: Database): QueueRules {
  const owns = (caller: Caller, queue: string) =>
    queue === (caller.kind === "host" ? hostQueue(caller.hostId) : callerQueue(caller.operationId));
  return {
    owns,
    check: async (caller, queue) => {
      if (!owns(caller, queue)) throw refused(queue);
      if (caller.kind === "host") return;
      const found = await findOperation(db, caller.operationId);
      if (!found.ok || isSettled(found.value.state)) throw refused(queue);
    },
    isDisplaced: async ({ hostId, session }) => {
      const host = await findHostIdentity(db, hostId);
      if (!host || host.session === null || host.session === session) return false;
      return host.silentMs !== null && host.silentMs < sessionSilentMs;
    },
  };
}

const refused = (queue: string) =>
  new FaultError({ code: "forbidden", message: `This caller may not poll the queue ${queue}.`, subject: queue });
