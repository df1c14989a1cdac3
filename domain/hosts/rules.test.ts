/** Which hosts may take a machine, why not the others, and which comes first. */
import { describe, expect, it } from "vitest";
import { anywhere } from "./demand.ts";
import { candidates, lacking, type Demand, type Supply } from "./rules.ts";

const host = (name: string, more: Partial<Supply> = {}): Supply => ({
  id: `id of ${name}`,
  name,
  state: "online",
  enabled: true,
  cordon: null,
  architecture: "arm64",
  labels: [],
  taints: [],
  carries: [],
  freeVcpus: 8,
  freeMemoryBytes: 8,
  freeDiskBytes: 8,
  freeMacosSlots: 2,
  cached: [],
  ...more,
});
const machine: Demand = {
  ...anywhere,
  architecture: "arm64",
  vcpus: 1,
  memoryBytes: 1,
  diskBytes: 1,
  macos: true,
  digest: "d",
  runs: true,
};
const namesOf = (hosts: readonly Supply[], demand: Partial<Demand> = {}) => {
  const fit = candidates(hosts, { ...machine, ...demand });
  return fit.ok ? fit.value.map(({ name }) => name) : fit.fault.code;
};

describe("a host takes no machine", () => {
  const reasons: ReadonlyArray<readonly [Partial<Supply>, Partial<Demand>, string]> = [
    [{ enabled: false }, {}, "is disabled"],
    [{ cordon: "draining" }, {}, "is draining"],
    [{ state: "lost" }, {}, "is lost"],
    [{ architecture: "x86_64" }, {}, "is x86_64, not arm64"],
    [{}, { anyLabel: ["ssd"] }, "has none of the labels ssd"],
    [{ taints: ["gpu", "slow"] }, { tolerates: ["slow"] }, "keeps away what does not bear gpu"],
    [{ carries: [{ app: "db", tier: "1" }] }, { apartFrom: { app: "db" } }, "has a machine with app=db"],
    [{ freeVcpus: 0 }, {}, "has 0 of 1 vCPU free"],
    [{ freeMacosSlots: 0 }, {}, "already runs two macOS machines"],
    [{}, { excluded: ["id of a"] }, "was tried already"],
    [{}, { hostId: "other" }, "is not the host asked for"],
  ];
  it.each(reasons)("%j for %j: it %s", (supply, demand, reason) => {
    expect(lacking([host("a", supply)], { ...machine, ...demand })).toEqual([{ hostId: "id of a", host: "a", lacks: [reason] }]);
    expect(namesOf([host("a", supply)], demand)).toBe("no_capacity");
  });
});

describe("a host takes a machine", () => {
  it("that bears its taints, or names it", () => {
    const tainted = [host("a", { taints: ["gpu"] })];
    expect(namesOf(tainted, { tolerates: ["gpu", "more"] })).toEqual(["a"]);
    expect(namesOf(tainted, { hostId: "id of a" })).toEqual(["a"]);
  });

  it("beside others that have only some of the labels it keeps apart from", () => {
    const carrying = [host("a", { carries: [{ app: "db" }, { tier: "1" }] })];
    expect(namesOf(carrying, { apartFrom: { app: "db", tier: "1" } })).toEqual(["a"]);
  });
});

it("comes first by the image it has, then by the memory it has left, as the profile says, then by name", () => {
  const hosts = [
    host("cold", { freeMemoryBytes: 9 }),
    ...[3, 5, 5].map((free, n) => host(`warm-${n}`, { freeMemoryBytes: free, cached: ["d"] })),
  ];
  expect(namesOf(hosts)).toEqual(["warm-1", "warm-2", "warm-0"]);
  expect(namesOf(hosts, { profile: "fill" })).toEqual(["warm-0", "warm-1", "warm-2"]);
  expect(namesOf(hosts, { digest: "other", profile: "fill" })[0]).toBe("warm-0");
});
