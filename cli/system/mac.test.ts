import { describe, expect, it } from "vitest";
import { adminPrompts, dhcpLeases, diskPressure, licence, localNetwork } from "./mac.ts";

const gibibyte = 1024 ** 3;

it.each([
  ["14.7.1", "none", "works"],
  ["15.0", "daemon", "works"],
  ["26.1", "daemon", "works"],
  ["26.1", "agent", "broken"],
  ["15.2", "none", "absent"],
] as const)("on macOS %s a worker that is run by launchd as %s: the local network %s", (osVersion, service, verdict) => {
  expect(localNetwork({ osVersion, service: service === "none" ? null : service }).verdict).toBe(verdict);
});

it.each([
  [
    "a Pro licence",
    `{"status":"ACTIVE","edition":"pro","expiration":"2030-12-31 23:59:59"}`,
    "works",
    "pro, active, until 2030-12-31 23:59:59",
  ],
  ["a Business licence", `{"status":"ACTIVE","edition":"business"}`, "works", "business, active"],
  ["a Standard licence", `{"status":"ACTIVE","edition":"standard"}`, "broken", "standard, active"],
  ["one that ended", `{"status":"EXPIRED","edition":"pro"}`, "broken", "pro, expired"],
  ["none", "Searching for installed licenses...\nNo licenses installed.\n", "broken", "none is installed"],
  ["an answer that says nothing", "", "absent", "the licence could not be read"],
  ["no answer", null, "absent", "the licence could not be read"],
] as const)("%s", (_, text, verdict, found) => {
  expect(licence({ licence: text })).toMatchObject({ verdict, found });
});

it.each([
  ["nothing", `{"Require password to":[]}`, "works"],
  ["nothing, by a release that does not list it", `{"ID":"{1}"}`, "works"],
  ["some acts", `{"Require password to":["Create a new virtual machine","Clone a virtual machine"]}`, "broken"],
  ["nobody knows what", null, "absent"],
] as const)("where %s asks for a password", (_, server, verdict) => {
  const finding = adminPrompts({ server });
  expect(finding.verdict).toBe(verdict);
  if (verdict === "broken") expect(finding.remedy).toContain("--require-pwd clone-vm:off");
});

it.each([
  [200, 1000, "works"],
  [99, 1000, "broken"],
  [100, 1000, "works"],
  [19, 100, "broken"],
  [20, 100, "works"],
] as const)("with %i of %i GiB free the machines' disk %s", (free, total, verdict) => {
  const disk = { folder: "/Users/ci/Parallels", freeBytes: free * gibibyte, totalBytes: total * gibibyte };
  expect(diskPressure({ disk }).verdict).toBe(verdict);
});

describe("the addresses of the shared network", () => {
  const nowMs = 1_800_000_000_000;
  const network = (start: string, end: string) =>
    JSON.stringify({ "Network ID": "Shared", "DHCPv4 server": { "IP scope start address": start, "IP scope end address": end } });
  const lease = (last: number, endsInSeconds: number) =>
    `10.211.55.${last}="${nowMs / 1000 + endsInSeconds},1800,001c42${last.toString(16).padStart(6, "0")},ff00"`;
  const leases = (...lines: string[]) => `[vnic0]\n${lines.join("\n")}\n`;
  const range = (from: number, to: number, endsInSeconds = 900) =>
    Array.from({ length: to - from + 1 }, (_, index) => lease(from + index, endsInSeconds));
  const judge = (text: string | null, end = "10.211.55.10") =>
    dhcpLeases({ leases: text, sharedNetwork: network("10.211.55.1", end), nowMs });

  it.each([
    ["half are taken", leases(...range(1, 5)), "works", "5 of 10"],
    ["nine of ten are", leases(...range(1, 9)), "broken", "9 of 10"],
    ["all are, and others outside it", leases(...range(1, 20)), "broken", "10 of 10"],
    ["all were, and the leases ended", leases(...range(1, 10, -1)), "works", "0 of 10"],
    ["one has two leases", leases(lease(1, -900), lease(1, 900)), "works", "1 of 10"],
    ["the file holds other lines too", leases("[vnic1]", "x", ...range(1, 3), `10.211.55.4="soon"`), "works", "3 of 10"],
    ["the file is empty", "", "works", "0 of 10"],
  ] as const)("when %s", (_, text, verdict, found) => {
    const finding = judge(text);
    expect(finding.verdict).toBe(verdict);
    expect(finding.found).toContain(found);
  });

  it("are counted over the borders of their parts", () => {
    expect(judge(leases(...range(1, 200)), "10.211.56.255").found).toContain("200 of 511");
  });

  it("are not judged where they cannot be read", () => {
    expect(judge(null).verdict).toBe("absent");
    expect(dhcpLeases({ leases: "", sharedNetwork: "Failed", nowMs }).verdict).toBe("absent");
  });
});
