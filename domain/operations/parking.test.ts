import { expect, it } from "vitest";
import { codes, factsOf, isCode } from "../errors.ts";

it("parks on what an operator can mend, and on nothing else", () => {
  const parking = Object.keys(codes).filter((code) => isCode(code) && factsOf(code).parks === true);
  // Machines that do not end; space, disks, credentials, stores and other catalogs, be it in the middle of a collection; the host; Parallels Desktop, its tools and its licence; whatever kept a step silent.
  const mendable = `address_missing disk_failed drain_overdue host_lost licence_expired no_space object_leaving prlctl_busy prlctl_failed prlctl_timeout prlctl_unavailable
    prlctl_unreadable remote_denied remote_unreachable step_timeout store_denied store_unavailable tools_unavailable`;
  expect(parking.toSorted((a, b) => a.localeCompare(b))).toEqual(mendable.split(/\s+/));
});

it("never parks for want of room on all hosts: that waits by itself, or fails", () => expect(factsOf("no_capacity").parks).toBeUndefined());

it("tells an operator what to do before the retry, for every code that parks", () => {
  for (const code of Object.keys(codes).filter(isCode))
    if (factsOf(code).parks) expect(factsOf(code).remedy, code).toMatch(/then retry the step|goes on by itself/);
});
