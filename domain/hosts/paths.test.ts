import { expect, it } from "vitest";
import { overlaps } from "./paths.ts";

it.each([
  ["/vms/a.pvm", "/vms/a.pvm", true],
  ["/vms/a.pvm/disk.hdd", "/vms/a.pvm", true],
  ["/vms", "/vms/a.pvm", true],
  ["/", "/vms/a.pvm", true],
  ["/vms//x/../A.PVM/", "/vms/a.pvm", true],
  ["/vms/cafe\u0301.pvm", "/vms/caf\u00e9.pvm", true],
  ["/vms/ab.pvm", "/vms/a.pvm", false],
  ["/vms/b.pvm", "/vms/a.pvm", false],
  ["/other/a.pvm", "/vms/a.pvm", false],
])("%s and %s lie in one another: %s", (one, other, expected) => {
  expect(overlaps(one, other)).toBe(expected);
  expect(overlaps(other, one)).toBe(expected);
});
