import { expect, it } from "vitest";
import { mixedVersions, versionsOf } from "./versions.ts";

const fleet = (...versions: Array<string | null>) =>
  versions.map((version, n) => ({ name: `mac-${n + 1}`, facts: version === null ? null : { workerVersion: version } }));

it.each([
  ["no host", fleet(), undefined, null],
  ["hosts that never reported", fleet(null, null), "2", null],
  ["one release", fleet("2", "2", null), undefined, null],
  ["the hub's release", fleet("2", "2"), "2", null],
  ["two releases", fleet("1", "2", "2"), undefined, "Hosts run other releases than 2: 1 on mac-1."],
  ["one release that is not the hub's", fleet("1", "1"), "2", "Hosts run other releases than 2: 1 on mac-1, mac-2."],
  [
    "three, and the hub's is that of the fewest",
    fleet("1", "1", "2", "3"),
    "3",
    "Hosts run other releases than 3: 1 on mac-1, mac-2; 2 on mac-3.",
  ],
  [
    "many",
    fleet("2", ...Array<string>(7).fill("1")),
    "2",
    "Hosts run other releases than 2: 1 on mac-2, mac-3, mac-4, mac-5, mac-6 and 2 more.",
  ],
] as const)("of %s", (_, hosts, hub, expected) => {
  expect(mixedVersions(hosts, hub)).toBe(expected);
});

it("names each release once, the one that most hosts run first", () => {
  expect(versionsOf(fleet("1", "2", "2"))).toEqual([
    { version: "2", hosts: ["mac-2", "mac-3"] },
    { version: "1", hosts: ["mac-1"] },
  ]);
});
