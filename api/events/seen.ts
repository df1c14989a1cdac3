/**
 * One event in the words of the wire.
 *
 * The one idea: what it tells of is read when somebody is told, and once for all of them; so a message shows how things are and its number where it stands.
 */
import type { EventFacts } from "../../domain/events/rules.ts";
import type { Event } from "../../domain/events/schema.ts";
import { findJob } from "../../db/jobs.ts";
import { seenMachine } from "../../db/observed.ts";
import { readOperation } from "../../db/operations.ts";
import { jobIn, nameOf } from "../operations/job.ts";
import type { Hub } from "../ports.ts";
import type { Seen } from "./listeners.ts";
import { accessMessages, hostMessages, jobMessage, machineMessages, snapshotMessages, type Message } from "./wire.ts";

type Reading = Pick<Hub, "db">;

export function seenEvent(hub: Reading, event: Event, facts: EventFacts): Seen {
  let read: Promise<readonly Message[]> | null = null;
  return { event, facts, messages: () => (read ??= messagesOf(hub, event)) };
}

async function messagesOf(hub: Reading, event: Event): Promise<readonly Message[]> {
  const { type, subjectId, name } = event;
  if (name === "machine.snapshots") return snapshotMessages(event, await seenMachine(hub.db, subjectId), await snapshotsAfter(hub, event));
  if (type === "machine") return machineMessages(event, await seenMachine(hub.db, subjectId));
  if (type === "host") return hostMessages(event);
  if (type === "access") return accessMessages(event);
  if (type !== "operation") return [];
  const message = jobMessage(name);
  // A hidden one too: its removal is told with what it was.
  const row = message === null ? null : await findJob(hub.db, subjectId, { evenHidden: true });
  return message === null || !row ? [] : [{ event_type: "job_manager", message, body: await jobIn(hub, row), name: nameOf(row) }];
}

async function snapshotsAfter({ db }: Reading, { operationId }: Event): Promise<unknown> {
  const found = operationId === null ? null : await readOperation(db, operationId);
  return found?.ok ? found.value.operation.result?.["snapshots"] : undefined;
}
