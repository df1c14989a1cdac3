/**
 * Who may poll which queue.
 *
 * The one idea: whole names are compared, never prefixes. A host has one queue; a user has the queue of an operation that is theirs and has not ended.
 */
import type { Database } from "../db/connect.ts";
import { findHostIdentity } from "../db/hosts.ts";
import { readOperation } from "../db/operations.ts";
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
    caller.kind === "host" ? queue === hostQueue(caller.hostId) : operationOf(queue) !== null;
  return {
    owns,
    check: async (caller, queue) => {
      if (!owns(caller, queue)) throw refused(queue);
      if (caller.kind === "host") return;
      const found = await readOperation(db, operationOf(queue) ?? "");
      const theirs = found.ok && found.value.actorId === caller.userId && found.value.operation.hostId === null;
      if (!theirs || isSettled(found.value.operation.state)) throw refused(queue);
    },
    isDisplaced: async ({ hostId, session }) => {
      const host = await findHostIdentity(db, hostId);
      if (!host || host.session === null || host.session === session) return false;
      return host.silentMs !== null && host.silentMs < sessionSilentMs;
    },
  };
}

const prefix = callerQueue("");
function operationOf(queue: string): string | null {
  const id = queue.startsWith(prefix) ? queue.slice(prefix.length) : "";
  return /^[0-9a-f-]{36}$/.test(id) && callerQueue(id) === queue ? id : null;
}

const refused = (queue: string) =>
  new FaultError({ code: "forbidden", message: `This caller may not poll the queue ${queue}.`, subject: queue });
