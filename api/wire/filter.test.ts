import { expect, it } from "vitest";
import { filtered } from "./filter.ts";

const rows = [
  { ID: "1", Name: "base-ubuntu", State: "stopped", Hardware: { cpu: { cpus: 2 } } },
  { ID: "2", Name: "Base-macOS", State: "running" },
];
const names = (header: string | undefined) => filtered(rows, header).map((row) => row.Name);

it.each([
  [undefined, ["base-ubuntu", "Base-macOS"]],
  ["name=base", ["base-ubuntu"]],
  ["Name=base,i", ["base-ubuntu", "Base-macOS"]],
  ["state=^running$", ["Base-macOS"]],
  ["hardware.cpu.cpus=2", ["base-ubuntu"]],
  ["nothing=x", []],
])("%s leaves %j", (header, left) => expect(names(header)).toEqual(left));

it.each(["base-ubuntu", "=x", "a=b=c", "name=([", "name=(a+)+b"])("refuses %s", (header) =>
  expect(() => names(header)).toThrow(/invalid filter/),
);
