/**
 * Lets nobody change this host who slept through being replaced.
 *
 * The one idea: a process that was stopped, or whose computer slept, does not know it. So before each change the hub must have said a moment ago, by both
 * clocks, that the attempt is the newest of an operation under way; else it is asked. What acts neither for an attempt nor by the hub's word changes nothing.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { FaultError } from "../../domain/errors.ts";
import type { Cache } from "../../images/cache.ts";
import type { Prlctl } from "../../parallels/prlctl.ts";
import type { HubLink } from "./hub-link.ts";

/** Half of the heartbeat timeout: no attempt is taken for dead, and none replaces it, so soon after the hub has answered it. */
const freshMs = 5_000;

export interface Moment {
  readonly steadyMs: number;
  readonly wallMs: number;
}
export const thisMoment = (): Moment => ({ steadyMs: performance.now(), wallMs: Date.now() });
/** The one clock may stand still while a computer sleeps, the other may be set. */
export const isFresh = ({ steadyMs, wallMs }: Moment): boolean => Math.max(performance.now() - steadyMs, Date.now() - wallMs) < freshMs;

/** Why somebody may change this host: for an attempt of an operation, or by the hub's own word. */
export interface Right {
  readonly operationId?: string;
  fence?: number;
  /** When the question was sent to which the hub said so: its answer may have waited here while everything slept. */
  heard: Moment | null;
  /** Asks the hub again; rejects with `fenced` where it says no. */
  renew(): Promise<void>;
}

interface Acting {
  readonly operationId: string;
  readonly signal: AbortSignal;
  /** Ends the attempt at once: it must not go on waiting for what a refused change was to bring about. */
  end(reason: Error): void;
}

export interface Guard {
  /** Runs an attempt, which may change the host as long as it is the newest of its operation. */
  during<T>(acting: Acting, work: () => Promise<T>): Promise<T>;
  /** Runs what acts by another right. */
  by<T>(right: Right, work: () => Promise<T>): Promise<T>;
  /** The hub has begun this attempt, as it was asked at that moment. */
  begun(fence: number, heard: Moment): void;
  /** To be awaited right before a change of the disk. */
  mayChange(): Promise<void>;
  /** The same with every change guarded. */
  prlctl(prlctl: Prlctl): Prlctl;
  cache(cache: Cache): Cache;
  /** The same, and an attempt that begins has heard the hub. */
  link(link: HubLink): HubLink;
}

export const fenced = (message: string, subject?: string, cause?: unknown): FaultError =>
  new FaultError({ code: "fenced", message, ...(subject === undefined ? {} : { subject }) }, { cause });

export function openGuard(link: Pick<HubLink, "grants">, onRefused: (operationId: string, reason: string) => void): Guard {
  const rights = new AsyncLocalStorage<Right>();

  const rightOf = ({ operationId, signal, end }: Acting): Right => {
    const right: Right = {
      operationId,
      heard: null,
      renew: async () => {
        const asked = thisMoment();
        const told = right.fence === undefined ? {} : { fence: right.fence };
        const { fence } = await link.grants({ operationId, ...told }, signal).catch((error: unknown) => {
          const refused = refusalOf(operationId, error);
          if (signal.aborted || refused !== null) onRefused(operationId, refused?.message ?? "It was ended while the hub was asked.");
          if (refused === null) throw error;
          end(refused);
          throw refused;
        });
        right.fence = fence;
        right.heard = asked;
      },
    };
    return right;
  };
  const begun: Guard["begun"] = (fence, heard) => void Object.assign(rights.getStore() ?? {}, { fence, heard });
  const mayChange = async () => {
    const right = rights.getStore();
    if (!right) throw new FaultError({ code: "internal", message: "This host is changed only for an operation or by the hub's word." });
    while (right.heard === null || !isFresh(right.heard)) await right.renew();
  };
  return {
    during: (acting, work) => rights.run(rightOf(acting), work),
    by: (right, work) => rights.run(right, work),
    begun,
    mayChange,
    prlctl: (prlctl) => guardedPrlctl(prlctl, mayChange),
    cache: (cache) => guardedCache(cache, mayChange),
    link: (whole) => ({
      ...whole,
      grants: async (request, signal) => {
        const asked = thisMoment();
        const answer = await whole.grants(request, signal);
        if (request.begin === true && rights.getStore()?.operationId === request.operationId) begun(answer.fence, asked);
        return answer;
      },
    }),
  };
}

/** Replaced, ended, or placed on another host: whichever it is, nothing more is to be done here. */
function refusalOf(operationId: string, error: unknown): FaultError | null {
  if (!(error instanceof FaultError) || !["fenced", "grant_refused"].includes(error.fault.code)) return null;
  return fenced(`The hub no longer has this attempt do anything: ${error.fault.message}`, operationId, error);
}

type Guarded = <A extends unknown[], T>(act: (...words: A) => Promise<T>) => (...words: A) => Promise<T>;

const guardedBy =
  (mayChange: () => Promise<void>): Guarded =>
  (act) =>
  async (...words) => {
    await mayChange();
    return act(...words);
  };

/** What only looks stays free, and `exec`, by which the inventory asks guests too: whoever runs a caller's script asks first. */
function guardedPrlctl(prlctl: Prlctl, mayChange: () => Promise<void>): Prlctl {
  const guarded = guardedBy(mayChange);
  return {
    ...prlctl,
    register: guarded(prlctl.register),
    unregister: guarded(prlctl.unregister),
    remove: guarded(prlctl.remove),
    clone: guarded(prlctl.clone),
    start: guarded(prlctl.start),
    stop: guarded(prlctl.stop),
    restart: guarded(prlctl.restart),
    reset: guarded(prlctl.reset),
    suspend: guarded(prlctl.suspend),
    resume: guarded(prlctl.resume),
    pause: guarded(prlctl.pause),
    set: guarded(prlctl.set),
    copyIn: guarded(prlctl.copyIn),
    snapshotCreate: guarded(prlctl.snapshotCreate),
    snapshotRevert: guarded(prlctl.snapshotRevert),
    snapshotRemove: guarded(prlctl.snapshotRemove),
  };
}

function guardedCache(cache: Cache, mayChange: () => Promise<void>): Cache {
  const guarded = guardedBy(mayChange);
  return {
    ...cache,
    reveal: guarded(cache.reveal),
    reseal: guarded(cache.reseal),
    remove: guarded(cache.remove),
    pin: guarded(cache.pin),
    unpin: guarded(cache.unpin),
    discard: guarded(cache.discard),
    ensureRoom: guarded(cache.ensureRoom),
  };
}
