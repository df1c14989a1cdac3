/** What is believed, what is repaired, and what is whose: as tables. */
import { describe, expect, it } from "vitest";
import { judge, standingOf, type Claim, type Difference, type Reported } from "./truth.ts";

const hub = "hub-1";
const here = "host-1";
const machine = "machine-1";
const mark = { hubId: hub, epoch: 2 };

describe("what a reported machine is to the hub", () => {
  const claim = (more: Partial<Claim> = {}): Claim => ({ hostId: here, epoch: 2, retired: false, ...more });
  const cases: ReadonlyArray<readonly [string, Partial<Reported>, Claim | null, string]> = [
    ["its row's, with its mark", { mark }, claim(), "ours"],
    ["its row's, whose mark was lost", { mark: null }, claim(), "ours"],
    ["somebody else's", { mark: null }, null, "foreign"],
    ["another hub's", { mark: { ...mark, hubId: "hub-2" } }, null, "foreign"],
    ["ours by its mark, in no row", { mark }, null, "orphan"],
    ["what came back of a retired one", { mark }, claim({ retired: true }), "twin"],
    ["of an older placement on its own host", { mark: { ...mark, epoch: 1 } }, claim(), "twin"],
    ["of an older placement on another host", { mark: { ...mark, epoch: 1 } }, claim({ hostId: "host-2" }), "twin"],
    ["placed elsewhere in this very epoch", { mark }, claim({ hostId: "host-2" }), "twin"],
    ["of a newer placement than its row", { mark: { ...mark, epoch: 3 } }, claim({ hostId: "host-2" }), "newer"],
    ["placed, as its row does not know yet", { mark }, claim({ hostId: null }), "newer"],
    ["a copy by hand of a living machine", { mark: { ...mark, machineId: "other" } }, null, "orphan"],
    ["a copy that was adopted", { mark: { ...mark, machineId: "other" } }, claim(), "ours"],
    ["unregistered, of a living machine", { mark, unregistered: true }, claim(), "ours"],
    ["unregistered, the very bundle of a retired machine", { mark, unregistered: true }, claim({ retired: true }), "twin"],
    ["a backup of a retired machine's bundle", { mark: { ...mark, copied: true }, unregistered: true }, claim({ retired: true }), "orphan"],
  ];
  it.each(cases)("%s", (_, seen, row, standing) => {
    expect(standingOf({ id: machine, mark: null, ...seen }, hub, here, row)).toBe(standing);
  });
});

describe("a machine that is not as desired", () => {
  const difference = (more: Partial<Difference> = {}): Difference => ({
    name: "web",
    desired: "running",
    seenBoot: "boot-1",
    bootId: "boot-1",
    seen: { name: "web", state: "running" },
    ...more,
  });
  const seen = (state: NonNullable<Difference["seen"]>["state"]) => ({ name: "web", state });
  const cases: ReadonlyArray<readonly [string, Partial<Difference>, object]> = [
    ["as desired", {}, { believe: null, repair: null, runs: true, drift: null, settled: true }],
    ["stopped by hand or by its guest: believed", { seen: seen("stopped") }, { believe: "stopped", repair: null, runs: false }],
    ["suspended by hand: believed", { seen: seen("suspended") }, { believe: "suspended", runs: false }],
    ["started by hand: believed", { desired: "stopped", seen: seen("running") }, { believe: "running", runs: true }],
    ["stopped by a reboot of its host: started again", { bootId: "boot-2", seen: seen("stopped") }, { believe: null, repair: "start" }],
    ["suspended by a reboot: resumed", { bootId: "boot-2", seen: seen("suspended") }, { believe: null, repair: "resume" }],
    ["stopped since nobody knows when: believed", { seenBoot: null, seen: seen("stopped") }, { believe: "stopped", repair: null }],
    [
      "stopped as desired through a reboot",
      { desired: "stopped", bootId: "boot-2", seen: seen("stopped") },
      { repair: null, settled: true },
    ],
    ["on its way: waited for", { seen: seen("stopping") }, { believe: null, repair: null, runs: true, settled: false }],
    ["to be retired: left alone", { desired: "absent", seen: seen("stopped") }, { believe: null, repair: null }],
    ["renamed by hand", { seen: { name: "db", state: "running" } }, { renamed: "db" }],
    ["deleted by hand", { seen: null }, { drift: "absent", runs: false, believe: null, repair: null }],
    [
      "unregistered by hand",
      { seen: { name: "web", state: "stopped", unregistered: true } },
      { drift: "unregistered", runs: false, believe: null },
    ],
    ["without its bundle", { seen: seen("invalid") }, { drift: "invalid", runs: false, believe: null, repair: null }],
  ];
  it.each(cases)("%s", (_, more, verdict) => {
    expect(judge(difference(more))).toMatchObject(verdict);
  });
});
