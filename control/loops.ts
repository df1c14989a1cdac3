/** The loops that the hub runs beside workflows, and how often each looks. */
import { dropOld, type Retention } from "../db/retention.ts";
import { comparer } from "./compare.ts";
import type { Loop } from "./leader.ts";
import { keepMaintenance } from "./maintenance.ts";
import { policyScheduler } from "./prefetch-schedules.ts";
import { startPolicies } from "./prefetch.ts";
import { wakePools } from "./pools.ts";
import { relay } from "./relay.ts";
import { roomTeller } from "./room.ts";
import type { Control } from "./start.ts";
import { endedSettler, retireDue, startIntended } from "./sweep.ts";
import { endLostDeliveries, sendEvents } from "./webhooks.ts";

export interface LoopOptions {
  /** Whether a gateway listens to hosts at all. */
  readonly hasEars: () => Promise<boolean>;
  readonly retention: Retention;
}

export function hubLoops(control: Control, { hasEars, retention }: LoopOptions): Loop[] {
  return [
    // Followers of events see them a tenth of a second later; an idle look is two reads of small indexes.
    { name: "relay", everyMs: 100, pass: () => relay(control.db) },
    { name: "start", everyMs: 1_000, pass: () => startIntended(control) },
    { name: "settle", everyMs: 5_000, pass: endedSettler(control) },
    { name: "retire", everyMs: 2_000, pass: () => retireDue(control) },
    // Whoever published an image may wait some seconds until hosts begin to fetch it; a look at a few rows costs nothing.
    { name: "prefetch", everyMs: 5_000, pass: () => startPolicies(control) },
    // As soon for whoever adds a policy with a time of its own.
    { name: "prefetch schedules", everyMs: 5_000, pass: policyScheduler(control) },
    // Whoever finds a pool empty asks again within a second or two; a look at a pool is three reads.
    { name: "pools", everyMs: 1_000, pass: () => wakePools(control) },
    // Whoever waits for room gets it within a second or two; an idle look is one read of a small index.
    { name: "room", everyMs: 1_000, pass: roomTeller(control) },
    // Whoever is told of a failure by a webhook hears it within a second; an idle look is two small reads.
    { name: "webhooks", everyMs: 500, pass: () => sendEvents(control) },
    { name: "lost deliveries", everyMs: 60_000, pass: () => endLostDeliveries(control) },
    // Hosts report every 5 s and are late after 10: a second tells soon enough.
    { name: "compare", everyMs: 1_000, pass: comparer(control, { hasEars }) },
    // A window that opens or closes some seconds late harms nobody; a look is three small reads.
    { name: "maintenance", everyMs: 5_000, pass: () => keepMaintenance(control.db) },
    { name: "drop old", everyMs: 3_600_000, pass: () => dropOld(control.db, retention) },
  ];
}
