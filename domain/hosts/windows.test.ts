import { expect, it } from "vitest";
import { isFor, opensNext, openUntil, type WindowTimes } from "./windows.ts";

const berlin = (more: Partial<WindowTimes>): WindowTimes => ({
  days: ["sun"],
  startsAt: "02:30",
  minutes: 60,
  zone: "Europe/Berlin",
  ...more,
});
const at = (time: string): number => Date.parse(time);
const shown = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

// In 2026 Berlin goes from 02:00 to 03:00 on 29 March, and from 03:00 back to 02:00 on 25 October.
it.each([
  ["an ordinary Sunday, before", {}, "2026-03-22T01:29:59Z", null],
  ["an ordinary Sunday, at the beginning", {}, "2026-03-22T01:30:00Z", "2026-03-22T02:30:00.000Z"],
  ["an ordinary Sunday, at the end", {}, "2026-03-22T02:30:00Z", null],
  ["a beginning that does not exist is an hour later by the clock", {}, "2026-03-29T01:30:00Z", "2026-03-29T02:30:00.000Z"],
  ["and not earlier", {}, "2026-03-29T01:29:59Z", null],
  ["a beginning that exists twice is the first one", {}, "2026-10-25T00:30:00Z", "2026-10-25T01:30:00.000Z"],
  ["and the second one opens nothing", {}, "2026-10-25T01:30:00Z", null],
  [
    "over the change to summer time it lasts as long",
    { startsAt: "01:00", minutes: 240 },
    "2026-03-29T03:59:59Z",
    "2026-03-29T04:00:00.000Z",
  ],
  ["over the change to winter time too", { startsAt: "01:00", minutes: 240 }, "2026-10-25T02:59:59Z", "2026-10-25T03:00:00.000Z"],
  ["and ends then", { startsAt: "01:00", minutes: 240 }, "2026-10-25T03:00:00Z", null],
  ["over midnight into a day that is not named", { startsAt: "23:00", minutes: 180 }, "2026-03-23T00:30:00Z", "2026-03-23T01:00:00.000Z"],
  ["for two days", { startsAt: "00:00", minutes: 2880 }, "2026-03-24T22:00:00Z", null],
  ["for two days, in the second", { startsAt: "00:00", minutes: 2880 }, "2026-03-23T22:59:00Z", "2026-03-23T23:00:00.000Z"],
  [
    "in a zone whose day begins earlier",
    { zone: "Pacific/Auckland", startsAt: "00:10" },
    "2026-03-21T11:15:00Z",
    "2026-03-21T12:10:00.000Z",
  ],
  ["in a zone of half hours", { zone: "Asia/Kolkata" }, "2026-03-21T21:05:00Z", "2026-03-21T22:00:00.000Z"],
] as const)("%s", (_, more, now, expected) => {
  expect(shown(openUntil(berlin(more), at(now)))).toBe(expected);
});

it("opens next on the next of its days, also over a change of time", () => {
  expect(shown(opensNext(berlin({}), at("2026-03-22T01:30:00Z")))).toBe("2026-03-29T01:30:00.000Z");
  expect(shown(opensNext(berlin({ days: ["mon"], startsAt: "02:30" }), at("2026-03-28T12:00:00Z")))).toBe("2026-03-30T00:30:00.000Z");
});

it("is open for the minutes that it lasts, once a day, on each of 800 days in zones that change their time", () => {
  for (const zone of ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"]) {
    const daily = berlin({ zone, days: ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], startsAt: "02:15", minutes: 45 });
    let beginMs = opensNext(daily, at("2026-01-01T00:00:00Z"));
    for (let day = 0; day < 800; day++) {
      const next = opensNext(daily, beginMs);
      expect(openUntil(daily, beginMs - 1)).toBeNull();
      expect(openUntil(daily, beginMs)).toBe(beginMs + 45 * 60_000);
      expect(openUntil(daily, beginMs + 45 * 60_000)).toBeNull();
      const hours = (next - beginMs) / 3_600_000;
      expect(hours).toBeGreaterThanOrEqual(22.5);
      expect(hours).toBeLessThanOrEqual(25.5);
      beginMs = next;
    }
  }
});

it("is for hosts by their id or any of its labels, whatever their case", () => {
  const host = { id: "h", labels: ["Studio"] };
  expect(isFor({ hostIds: ["h"], labels: [] }, host)).toBe(true);
  expect(isFor({ hostIds: [], labels: ["lab", "studio"] }, host)).toBe(true);
  expect(isFor({ hostIds: ["other"], labels: ["lab"] }, host)).toBe(false);
});
