/**
 * The hub's time, as it is learnt from every answer of the hub.
 *
 * The one idea: what is signed for the hub, or ends by its word, is judged by its clock; so a computer whose own clock is wrong works all the same, and
 * only says how far it is off.
 */
import type { Logger } from "pino";
import { isClockOff } from "../../domain/hosts/rules.ts";

export interface HubClock {
  /** Takes the `Date` of an answer that has just come. */
  learn(date: string | undefined): void;
  /** The hub's time; this computer's own until the hub was heard. */
  now(): number;
  /** How far this computer's clock is ahead of the hub's, to the second; null until the hub was heard. */
  offsetMs(): number | null;
}

/** A `Date` names the second that has begun: half of one is the least that it can be wrong by on average. */
const halfSecondMs = 500;

export function hubClock(log: Logger): HubClock {
  let offset: number | null = null;
  let told = false;
  const tell = (offsetMs: number) => {
    if (isClockOff(offsetMs) === told) return;
    told = !told;
    const facts = { event: told ? "host.clock_off" : "host.clock_right", offsetMs };
    if (told) log.warn(facts, `The clock of this computer is ${Math.round(Math.abs(offsetMs) / 1000)} s off the hub's: set it by NTP.`);
    else log.info(facts, "The clock of this computer is as the hub's again.");
  };
  return {
    learn: (date) => {
      const at = Date.parse(date ?? "");
      if (Number.isNaN(at)) return;
      offset = Date.now() - (at + halfSecondMs);
      tell(offset);
    },
    now: () => Date.now() - (offset ?? 0),
    offsetMs: () => (offset === null ? null : Math.round(offset / 1000) * 1000),
  };
}
