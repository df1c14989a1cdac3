/** Which events a webhook is for, how long it is tried, and what is shown of where it leads. */
import { expect, it } from "vitest";
import { pauseAfterMs, pausesMs, shownAddress, wantsEvent } from "./rules.ts";

it.each([
  [["*"], "machine.ready", true],
  [["machine.*"], "machine.ready", true],
  [["machine.*"], "machines.ready", false],
  [["machine.ready"], "machine.ready_soon", false],
  [["host.*", "operation.failed"], "operation.failed", true],
  [["host.*"], "operation.failed", false],
])("%j is for %s: %s", (patterns, name, wanted) => expect(wantsEvent(patterns, name)).toBe(wanted));

it("is tried for more than a day and not for two, each pause longer than the one before", () => {
  const sum = pausesMs.reduce((total, pause) => total + pause, 0) / 3_600_000;
  expect(sum).toBeGreaterThan(24);
  expect(sum).toBeLessThan(48);
  expect(pausesMs.toSorted((a, b) => a - b)).toEqual(pausesMs);
  expect(pauseAfterMs(pausesMs.length + 1)).toBeNull();
});

it.each([
  ["https://hooks.example.com/services/T0/B0/secret", "https://hooks.example.com/***"],
  ["https://hooks.example.com:8443/?token=secret", "https://hooks.example.com:8443/***"],
  ["https://hooks.example.com", "https://hooks.example.com"],
])("shows no path and no query of %s", (address, shown) => expect(shownAddress(address)).toBe(shown));
