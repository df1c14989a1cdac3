/**
 * Tells the hub everything this host sees, every five seconds and whenever something changed.
 *
 * The one idea: an inventory is whole. The hub compares it with what it wants, so a lost or late one costs nothing but time.
 */
import { setTimeout as delay } from "node:timers/promises";
import { reportIntervalMs } from "../../domain/hosts/rules.ts";
import type { CachedImage, HostFacts, ReportAnswer } from "../../domain/hosts/schema.ts";
import type { ObservedMachine } from "../../domain/machines/schema.ts";
import { openGuestAddresses, type GuestAddresses } from "./addresses.ts";
import type { HostContext } from "./context.ts";
import { thisMoment, type Moment } from "./guard.ts";
import { observed } from "./observed.ts";
import { observedBundle, unregisteredBundles } from "./unregistered.ts";
import { openUsage } from "./usage.ts";

/** Changes come in bursts; one inventory tells them all. */
const gatherMs = 150;

export interface InventoryLoop {
  /** Something changed: tell it soon. */
  readonly changed: () => void;
  /** Whether the hub has taken a report of this process. */
  readonly heard: () => boolean;
  run(signal: AbortSignal): Promise<void>;
}
export interface InventoryOptions {
  readonly context: () => HostContext;
  readonly facts: () => Promise<HostFacts>;
  /** Changes with every boot of the host and never else. */
  readonly bootId: () => Promise<string>;
  /** Machines that this host must not have: twins of an older placement, and retired ones; and since when this is the hub's word. */
  readonly onRemove: (machines: ReportAnswer["removeMachines"], asked: Moment) => void;
  readonly onError: (error: unknown) => void;
}

export function inventoryLoop({ context, facts, bootId, onRemove, onError }: InventoryOptions): InventoryLoop {
  let sequence = 0;
  let taken = false;
  /** What the hub's clock showed in its last answer: what was done before is in what is gathered now. */
  let after: string | null = null;
  let hurried = false;
  let wake = Promise.withResolvers<void>();
  const guests = openGuestAddresses();
  const usage = openUsage();

  const tell = async (boot: string) => {
    const host = context();
    const at = new Date().toISOString();
    const [own, machines, cached] = await Promise.all([facts(), observe(host, guests), cachedImages(host)]);
    const { session, clockOffsetMs } = host.link;
    const offsetMs = clockOffsetMs();
    const seen = { ...own, usage: usage(), ...(offsetMs === null ? {} : { clockOffsetMs: offsetMs }) };
    const asked = thisMoment();
    const known = { sequence: ++sequence, session, bootId: boot, at, after };
    const answer = await host.link.report([{ kind: "inventory", ...known, facts: seen, machines, cached }]);
    taken ||= answer.accepted > 0;
    after = answer.at ?? after;
    // Once, so that a host that is slow to gather is not kept at it.
    hurried = answer.again === true && !hurried;
    if (hurried) wake.resolve();
    if (answer.removeMachines.length > 0) onRemove(answer.removeMachines, asked);
  };

  return {
    changed: () => wake.resolve(),
    heard: () => taken,
    run: async (signal) => {
      const boot = await bootId();
      while (!signal.aborted) {
        await tell(boot).catch(onError);
        const woken = wake.promise.then(() => delay(gatherMs, undefined, { signal }));
        const pause = new AbortController();
        const rest = delay(reportIntervalMs, undefined, { signal: AbortSignal.any([signal, pause.signal]) });
        await Promise.race([woken, rest]).catch(() => {});
        pause.abort();
        await rest.catch(() => {});
        wake = Promise.withResolvers<void>();
      }
    },
  };
}

async function observe(context: HostContext, guests: GuestAddresses): Promise<ObservedMachine[]> {
  const machines = await guests.complete(context, await context.prlctl.inventory());
  const bundles = await unregisteredBundles(context, machines);
  return Promise.all([...machines.map(observed), ...bundles.map(observedBundle)]);
}

async function cachedImages({ cache, pins }: HostContext): Promise<CachedImage[]> {
  const cached = await cache.list();
  return cached.map(({ digest, bytes, lastUsedAt, pinned }) => ({
    digest,
    bytes,
    lastUsedAt: lastUsedAt.toISOString(),
    ...(pinned ? { pinned } : {}),
    ...(pins.isUsed(digest) ? { used: true } : {}),
  }));
}
