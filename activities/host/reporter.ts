/**
 * Tells the hub how one attempt of a step goes: states, progress with rate and remaining time, output.
 *
 * The one idea: every line carries the attempt's fence and its own number, so lines that come twice or late change nothing.
 */
import type { Fault } from "../../domain/errors.ts";
import type { ReportLine } from "../../domain/hosts/schema.ts";
import { faultRecord, type StepState } from "../../domain/operations/rules.ts";
import type { HubLink } from "./hub-link.ts";

/** Twice a second is as fast as a person reads. */
const progressEveryMs = 500;
/** The rate is that of the last ten seconds: long enough to be calm, short enough to notice a stall. */
const rateWindowMs = 10_000;

export interface Moved {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly newBytes?: number;
}
export interface Reporter {
  state(step: string, state: StepState, fault?: Fault): void;
  progress(step: string, moved: Moved): void;
  waits(step: string, waitsFor: string): void;
  output(step: string, stream: "stdout" | "stderr", text: string): void;
  /** A cached image was found to be damaged. */
  damaged(step: string, found: { readonly digest: string; readonly message: string }): void;
  /** Settles when the hub has taken all that was said so far: what it hears of a settled operation it leaves out. */
  told(): Promise<void>;
}

export function openReporter(link: Pick<HubLink, "report">, operationId: string, fence: number): Reporter {
  let line = 0;
  const rates = new Map<string, Rate>();
  const attempted = (step: string) => ({ operationId, step, fence, line: ++line });
  let last: Promise<unknown> = Promise.resolve();
  // Lines are taken in their order, so the last one speaks for all.
  const send = (said: ReportLine) => void (last = link.report([said]));

  return {
    state: (step, state, fault) => send({ kind: "step", ...attempted(step), state, ...(fault ? { fault: faultRecord(fault) } : {}) }),
    waits: (step, waitsFor) => send({ kind: "progress", ...attempted(step), progress: { doneBytes: 0, totalBytes: 0, waitsFor } }),
    output: (step, stream, text) => send({ kind: "output", ...attempted(step), stream, text }),
    damaged: (step, found) => send({ kind: "damaged", ...attempted(step), ...found }),
    told: async () => void (await last),
    progress: (step, moved) => {
      const rate = rates.get(step) ?? openRate();
      rates.set(step, rate);
      const timing = rate.at(Date.now(), moved);
      if (timing) send({ kind: "progress", ...attempted(step), progress: { ...moved, ...timing } });
    },
  };
}

interface Rate {
  /** Null when it is too early to tell again; the end is always told. */
  at(now: number, moved: Moved): { bytesPerSecond: number; remainingMs: number | null } | null;
}

export function openRate(): Rate {
  let toldAt = -Infinity;
  const samples: Array<{ at: number; bytes: number }> = [];
  return {
    at: (now, { doneBytes, totalBytes }) => {
      if (now - toldAt < progressEveryMs && doneBytes < totalBytes) return null;
      toldAt = now;
      samples.push({ at: now, bytes: doneBytes });
      while (samples.length > 2 && now - (samples[0]?.at ?? now) > rateWindowMs) samples.shift();
      const [first = { at: now, bytes: doneBytes }] = samples;
      const elapsedMs = now - first.at;
      const bytesPerSecond = elapsedMs > 0 ? ((doneBytes - first.bytes) * 1000) / elapsedMs : 0;
      const left = totalBytes - doneBytes;
      return { bytesPerSecond, remainingMs: left === 0 ? 0 : bytesPerSecond > 0 ? Math.round((left * 1000) / bytesPerSecond) : null };
    },
  };
}
