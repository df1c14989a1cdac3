import { describe, expect, it } from "vitest";
import { withinQuota } from "./projects.ts";

const free = { machines: null, vcpus: null, memoryBytes: null, storageBytes: null };
const used = { machines: 2, vcpus: 4, memoryBytes: 100, storageBytes: 50 };

describe("a project's quota", () => {
  it("lets anything be asked for where there is no limit", () => {
    expect(withinQuota("ci", { quota: free, used }, { machines: 1000, vcpus: 1000 }).ok).toBe(true);
  });
  it("allows the last of what there is, and not one more", () => {
    const quota = { ...free, machines: 3, vcpus: 6 };
    expect(withinQuota("ci", { quota, used }, { machines: 1, vcpus: 2 }).ok).toBe(true);
    expect(withinQuota("ci", { quota, used }, { machines: 2 }).ok).toBe(false);
    expect(withinQuota("ci", { quota, used }, { machines: 1, vcpus: 3 }).ok).toBe(false);
  });
  it("names the project, the limit, what is used and what was asked for", () => {
    const refused = withinQuota("ci", { quota: { ...free, vcpus: 5 }, used }, { machines: 1, vcpus: 2 });
    expect(refused).toMatchObject({
      fault: {
        code: "quota_exceeded",
        message: "The project ci may have 5 vCPUs: it has 4, and 2 more were asked for.",
        details: { project: "ci", beyond: [{ what: "vcpus", limit: 5, used: 4, asked: 2 }] },
      },
    });
  });
  it("tells before anything is sent that there is no room at all", () => {
    expect(withinQuota("ci", { quota: { ...free, storageBytes: 50 }, used }, { storageBytes: 0 }).ok).toBe(false);
    expect(withinQuota("ci", { quota: { ...free, storageBytes: 51 }, used }, { storageBytes: 0 }).ok).toBe(true);
  });
});
