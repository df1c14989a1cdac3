/**
 * Reads what happens and tells it to those who listen at this process.
 *
 * The one idea: who stands at the same number is told by one reading; who is behind is read for apart, and only while it takes what it is sent. A change of
 * rights counts from the event that tells it, since every listener's rights are read anew there.
 */
import { setTimeout as delay } from "node:timers/promises";
import { mayUse } from "../../domain/access/rules.ts";
import type { Event } from "../../domain/events/schema.ts";
import { factsOfEvents } from "../../db/event-facts.ts";
import { goOnAfter, lastEventNumber, listEvents } from "../../db/events.ts";
import { checkEveryMs, standingKey, stillStanding } from "../middleware/standing.ts";
import type { Hub } from "../ports.ts";
import { mostBehind, type Listener, type Listeners } from "./listeners.ts";
import { progressTeller } from "./progress.ts";
import { seenEvent } from "./seen.ts";

import { tellUsage, uptimeEveryMs, uptimeTeller, usageEveryMs } from "./fleet-news.ts";
import { tellLogs, tellStats, statsEveryMs } from "./process-news.ts";

const batch = 500;
const progressEveryMs = 1_000;
/** The database is away: nobody is told anything until it is back. */
const awayMs = 2_000;
/** How soon a slow reader is looked at again. */
const slowMs = 50;

/** Ends when nobody listens any more. */
export async function follow(hub: Hub, listeners: Listeners): Promise<void> {
  const progress = progressTeller(hub);
  const tellUptimes = uptimeTeller(hub);
  const due = timers();
  const over = new AbortController();
  const logs = tellLogs(hub, listeners, AbortSignal.any([over.signal, hub.closing]));
  while (listeners.all.size > 0 && !hub.closing.aborted) {
    try {
      const isBehind = await tellAll(hub, listeners, progress.note);
      if (due("progress", progressEveryMs)) await progress.tell(listeners);
      if (due("stats", statsEveryMs)) tellStats(listeners);
      if (due("usage", usageEveryMs)) await tellUsage(hub, listeners);
      if (due("uptime", uptimeEveryMs)) await tellUptimes(listeners);
      if (due("check", checkEveryMs)) await checkAll(hub, listeners);
      if (!isBehind) await hub.notifications.next(hub.closing);
      else await delay(slowMs);
    } catch (error) {
      hub.log.warn({ event: "listeners.not_told", err: error }, "Those who follow events could not be told; trying again");
      await delay(awayMs);
    }
  }
  over.abort();
  await logs;
}

/** One batch for each number that somebody stands at. Answers whether somebody is still behind. */
async function tellAll(hub: Hub, { all }: Listeners, note: (event: Event) => void): Promise<boolean> {
  const newest = await lastEventNumber(hub.db);
  const ready = [...all.values()].filter((listener) => listener.position !== newest && listener.isReady());
  for (const [position, group] of Map.groupBy(ready, (listener) => listener.position)) {
    if (position > newest) await rewind(hub, group, position);
    else if (newest - position > mostBehind) passOver(group, newest);
    else await tellGroup(hub, { position, group, all, note });
  }
  return [...all.values()].some((listener) => listener.position < newest);
}

/** A restored database has another history: it is told from the last minute on. */
async function rewind({ db }: Pick<Hub, "db">, group: readonly Listener[], position: number): Promise<void> {
  const after = await goOnAfter(db, position);
  for (const listener of group) listener.position = after;
}

function passOver(group: readonly Listener[], until: number): void {
  for (const listener of group) {
    listener.lost(listener.position, until);
    listener.position = until;
  }
}

interface Group {
  readonly position: number;
  readonly group: readonly Listener[];
  readonly all: ReadonlyMap<string, Listener>;
  readonly note: (event: Event) => void;
}

async function tellGroup(hub: Hub, { position, group, all, note }: Group): Promise<void> {
  const events = await listEvents(hub.db, { after: position, limit: batch });
  const facts = await factsOfEvents(hub.db, events);
  for (const event of events) {
    const about = facts.get(event.number);
    if (!about) continue;
    note(event);
    if (event.type === "access") await checkSome(hub, group);
    const seen = seenEvent(hub, event, about);
    for (const listener of group) {
      // One that stopped taking goes on from its own number later; one that left is told nothing.
      if (listener.position >= event.number || !all.has(listener.id) || !listener.isReady()) continue;
      // Numbers have no gaps: what is missing was dropped for its age.
      if (listener.position + 1 < event.number) passOver([listener], event.number - 1);
      await listener.tell(seen);
      listener.position = event.number;
    }
  }
}

const checkAll = (hub: Hub, { all }: Listeners): Promise<void> => checkSome(hub, [...all.values()]);

/** Who listens twice is asked for once. */
async function checkSome(hub: Hub, some: readonly Listener[]): Promise<void> {
  for (const same of Map.groupBy(some, ({ actor, standing }) => standingKey(actor, standing)).values()) {
    const [first] = same;
    const actor = first ? await stillStanding(hub, first.actor, first.standing) : null;
    for (const listener of same) {
      if (actor && mayUse(actor, { claims: ["READ_ONLY"] }).ok) listener.actor = actor;
      else listener.end("Your rights have ended.");
    }
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
