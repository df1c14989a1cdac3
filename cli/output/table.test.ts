/** Tables that a person reads and `awk` cuts. */
import { describe, expect, it } from "vitest";
import { facts, table } from "./table.ts";

describe("table", () => {
  it("aligns columns without borders and without blanks at the end of a line", () => {
    const rows = [
      { name: "a", size: "1 GiB" },
      { name: "longer", size: "20 GiB" },
    ];
    const text = table(
      rows,
      [
        { title: "NAME", of: ({ name }) => name },
        { title: "SIZE", of: ({ size }) => size, right: true },
      ],
      "none",
    );
    expect(text.split("\n")).toEqual(["NAME      SIZE", "a        1 GiB", "longer  20 GiB"]);
  });

  it("says in words that there is nothing", () =>
    expect(table([], [{ title: "NAME", of: () => "" }], "No machines.")).toBe("No machines."));

  it("counts what a terminal shows, so wide characters do not shift a column", () => {
    const text = table(
      [{ name: "机器" }, { name: "abcd" }],
      [
        { title: "N", of: ({ name }) => name },
        { title: "X", of: () => "|" },
      ],
      "",
    );
    expect(text.split("\n").slice(1)).toEqual(["机器  |", "abcd  |"]);
  });

  it("leaves facts out that are not known", () =>
    expect(
      facts([
        ["name", "a"],
        ["guest", null],
        ["tags", ""],
      ]),
    ).toBe("name  a"));
});
