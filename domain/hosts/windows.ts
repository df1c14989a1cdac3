/**
 * When a maintenance window is open. Pure: the clock is given.
 *
 * The one idea: a window begins by the calendar and the clock of its time zone and lasts for so many real minutes. A beginning that the change to summer time
 * leaves out is an hour later by the clock, one that the change to winter time has twice is the first of the two; neither makes it longer or shorter.
 */
export const weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export type Weekday = (typeof weekdays)[number];

export interface WindowTimes {
  /** On which it begins; it may last over midnight. */
  readonly days: readonly Weekday[];
  /** `HH:MM` by the zone's clock. */
  readonly startsAt: string;
  readonly minutes: number;
  readonly zone: string;
}

const dayMinutes = 1440;

/** When the window that is open at this moment ends; null where none is. */
export function openUntil(window: WindowTimes, nowMs: number): number | null {
  const lengthMs = window.minutes * 60_000;
  // Those that began so long ago may last until now; a day more, since the change of time may put a beginning on the other side of midnight.
  const ends = beginnings(window, nowMs, { from: -Math.ceil(window.minutes / dayMinutes) - 1, to: 1 })
    .filter((beginMs) => beginMs <= nowMs && nowMs < beginMs + lengthMs)
    .map((beginMs) => beginMs + lengthMs);
  return ends.length === 0 ? null : Math.max(...ends);
}

/** When it opens next; there is always a day of the coming week. */
export function opensNext(window: WindowTimes, nowMs: number): number {
  return Math.min(...beginnings(window, nowMs, { from: 0, to: 8 }).filter((beginMs) => beginMs > nowMs));
}

function beginnings({ days, startsAt, zone }: WindowTimes, nowMs: number, { from, to }: { from: number; to: number }): number[] {
  const today = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(zone).toPlainDate();
  const dates = Array.from({ length: to - from + 1 }, (_, index) => today.add({ days: from + index }));
  return dates
    .filter(({ dayOfWeek }) => days.some((day) => weekdays.indexOf(day) === dayOfWeek - 1))
    .map((date) => date.toZonedDateTime({ timeZone: zone, plainTime: startsAt }).epochMilliseconds);
}

interface Placed {
  readonly id: string;
  readonly labels: readonly string[];
}

/** A window is for the hosts that it names and for those that have one of its labels. */
export function isFor({ hostIds, labels }: { hostIds: readonly string[]; labels: readonly string[] }, host: Placed): boolean {
  const own = new Set(host.labels.map((label) => label.toLowerCase()));
  return hostIds.includes(host.id) || labels.some((label) => own.has(label.toLowerCase()));
}
