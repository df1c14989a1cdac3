/**
 * The progress of jobs, which has no events.
 *
 * The one idea: only the newest matters, so jobs under way are looked at, some each second, and told when they changed; whoever reads slowly misses nothing
 * by missing one.
 */
import type { Event } from "../../domain/events/schema.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { findJob } from "../../db/jobs.ts";
import { unsettledOperations } from "../../db/operations.ts";
import { jobIn, nameOf } from "../operations/job.ts";
import type { Hub } from "../ports.ts";
import type { Listeners } from "./listeners.ts";

/** Three small reads each: with more jobs under way each is looked at more seldom. */
const perLook = 50;

export function progressTeller(hub: Pick<Hub, "db">) {
  /** Jobs under way, those first that were not looked at for longest, each as it was told last. */
  const underWay = new Map<string, string>();
  let isFirst = true;

  async function look(listeners: Listeners, id: string, told: string): Promise<void> {
    const row = await findJob(hub.db, id);
    underWay.delete(id);
    if (!row || isSettled(row.operation.state)) return;
    const body = await jobIn(hub, row);
    const name = nameOf(row);
    const text = JSON.stringify(body);
    underWay.set(id, text);
    if (text === told) return;
    const { project } = row.operation;
    const facts = { type: "operation", name: "operation.progress", project, askedBy: row.actorId, machine: null, image: null } as const;
    for (const listener of listeners.all.values()) listener.news({ event_type: "job_manager", message: "JOB_UPDATED", body, name }, facts);
  }

  return {
    /** A job that begins or ends is known from its event. */
    note: ({ type, subjectId }: Event): void => {
      if (type === "operation" && !underWay.has(subjectId)) underWay.set(subjectId, "");
    },
    tell: async (listeners: Listeners): Promise<void> => {
      if (![...listeners.all.values()].some((listener) => listener.wants("job_manager"))) {
        underWay.clear();
        isFirst = true;
        return;
      }
      if (isFirst) for (const { id } of await unsettledOperations(hub.db)) underWay.set(id, "");
      isFirst = false;
      for (const [id, told] of [...underWay].slice(0, perLook)) await look(listeners, id, told);
    },
  };
}
