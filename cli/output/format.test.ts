/** What people read instead of exact numbers. */
import { describe, expect, it } from "vitest";
import { ago, bytes, percent, span } from "./format.ts";

describe("format", () => {
  it.each([
    [0, "0 B"],
    [1, "1 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [1536, "1.5 KiB"],
    [120 * 1024 ** 2, "120 MiB"],
    [1.5 * 1024 ** 3, "1.5 GiB"],
    [2 ** 70, "1048576 PiB"],
    [0.4, "0 B"],
  ])("tells %d bytes as %s", (count, words) => expect(bytes(count)).toBe(words));

  it("says nothing about a size that is not known", () => expect([bytes(null), bytes(undefined)]).toEqual(["", ""]));

  it.each([
    [0, "0 s"],
    [420, "0.4 s"],
    [9_900, "9.9 s"],
    [42_400, "42 s"],
    [60_000, "1 min"],
    [200_000, "3 min 20 s"],
    [7_320_000, "2 h 2 min"],
    [86_400_000, "1 d"],
    [7 * 86_400_000 + 3_600_000, "7 d 1 h"],
  ])("tells %d ms as %s", (milliseconds, words) => expect(span(milliseconds)).toBe(words));

  it("tells past and future apart", () => {
    const now = new Date("2026-01-01T12:00:00Z");
    expect(ago(new Date("2026-01-01T11:59:30Z"), now)).toBe("30 s ago");
    expect(ago(new Date("2026-01-01T14:00:00Z"), now)).toBe("in 2 h");
    expect(ago(null, now)).toBe("");
  });

  it("never tells more than all, nor all before it is all", () =>
    expect([percent(0, 0), percent(999, 1000), percent(1200, 1000)]).toEqual(["100 %", "99 %", "100 %"]));
});
