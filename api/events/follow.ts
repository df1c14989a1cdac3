/**
 * Follows what happens and tells it to the WebSocket clients of this process.
 *
 * The one idea: it reads the events in the order of their numbers and only while somebody listens; the progress of jobs has no events, so jobs under way
 * are looked at once a second and told when they changed.
 */
import type { Event } from "../../domain/events/schema.ts";
import { mayUse } from "../../domain/access/rules.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { goOnAfter, lastEventNumber, listEvents } from "../../db/events.ts";
import { findJob, type JobRow } from "../../db/jobs.ts";
import { seenMachine } from "../../db/observed.ts";
import { readOperation, unsettledOperations } from "../../db/operations.ts";
import { actorAgain } from "../middleware/authenticate.ts";
import { jobIn } from "../operations/job.ts";
import type { Hub } from "../ports.ts";
import { pingEveryMs, type Subscribers } from "./subscribers.ts";
import { accessMessages, hostMessages, jobMessage, machineMessages } from "./wire.ts";

const batch = 500;
const progressEveryMs = 1_000;
/** A user whose rights end is told nothing more within this time. */
const checkEveryMs = 60_000;
/** The database is away: nobody is told anything until it is back. */
const awayMs = 2_000;

/** Ends when nobody listens any more. */
export async function follow(hub: Hub, subscribers: Subscribers): Promise<void> {
  let last: number | null = null;
  const underWay = new Map<string, string>();
  const due = timers();
  while (subscribers.clients.size > 0 && !hub.closing.aborted) {
    try {
      if (last === null) {
        last = await lastEventNumber(hub.db);
        for (const { id } of await unsettledOperations(hub.db)) underWay.set(id, "");
      }
      last = await goOnAfter(hub.db, last);
      for (const event of await listEvents(hub.db, { after: last, limit: batch })) {
        last = event.number;
        await tellEvent(hub, subscribers, event, underWay);
      }
      if (due("progress", progressEveryMs)) await tellProgress(hub, subscribers, underWay);
      if (due("ping", pingEveryMs)) subscribers.ping();
      if (due("check", checkEveryMs)) await checkAll(hub, subscribers);
      await hub.notifications.next(hub.closing);
    } catch (error) {
      hub.log.warn({ event: "subscribers.not_told", err: error }, "WebSocket clients could not be told; trying again");
      await new Promise((resolve) => setTimeout(resolve, awayMs));
    }
  }
}

async function tellEvent(hub: Hub, subscribers: Subscribers, event: Event, underWay: Map<string, string>): Promise<void> {
  const { type, project, subjectId, name } = event;
  if (type === "operation") return tellJob(hub, subscribers, subjectId, name, underWay);
  const messages =
    type === "machine"
      ? machineMessages(event, await seenMachine(hub.db, subjectId))
      : type === "host"
        ? hostMessages(event)
        : type === "access"
          ? accessMessages(event)
          : [];
  for (const message of messages) subscribers.tell(message, { project });
}

async function tellJob(hub: Hub, subscribers: Subscribers, id: string, name: string, underWay: Map<string, string>): Promise<void> {
  const message = jobMessage(name);
  const row = await rowOf(hub, id);
  if (!row || message === null) return;
  const body = await jobIn(hub, row);
  if (isSettled(row.operation.state)) underWay.delete(id);
  else underWay.set(id, JSON.stringify(body));
  subscribers.tell({ event_type: "job_manager", message, body }, { project: row.operation.project, ownerId: row.actorId });
}

/** A hidden one too: its removal is told with what it was. */
async function rowOf(hub: Hub, id: string): Promise<JobRow | null> {
  const job = await findJob(hub.db, id);
  if (job) return job;
  const hidden = await readOperation(hub.db, id);
  return hidden.ok ? { operation: hidden.value.operation, actorId: hidden.value.actorId, words: null } : null;
}

async function tellProgress(hub: Hub, subscribers: Subscribers, underWay: Map<string, string>): Promise<void> {
  if (!subscribers.wants("job_manager")) return;
  for (const [id, told] of underWay) {
    const row = await findJob(hub.db, id);
    if (!row || isSettled(row.operation.state)) {
      underWay.delete(id);
      continue;
    }
    const body = await jobIn(hub, row);
    if (JSON.stringify(body) === told) continue;
    underWay.set(id, JSON.stringify(body));
    subscribers.tell({ event_type: "job_manager", message: "JOB_UPDATED", body }, { project: row.operation.project, ownerId: row.actorId });
  }
}

async function checkAll(hub: Hub, subscribers: Subscribers): Promise<void> {
  for (const client of subscribers.clients.values()) {
    const actor = await actorAgain(hub, client.actor);
    if (actor && mayUse(actor, { claims: ["READ_ONLY"] }).ok) client.actor = actor;
    else client.socket.close(1008, "Your rights have ended.");
  }
}

/** True when that long has passed since it was true last. */
function timers() {
  const at = new Map<string, number>();
  return (name: string, everyMs: number): boolean => {
    const now = Date.now();
    const before = at.get(name);
    if (before === undefined) at.set(name, now);
    if (before === undefined || now - before < everyMs) return false;
    at.set(name, now);
    return true;
  };
}
