/** No path or link that the rules let through can lead out of the folder, whatever it is made of. */
import { posix } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { foldPath, linkTargetInside, pathProblem } from "./paths.ts";

const name = fc.constantFrom("a", "b", "..", ".", "", "a\0", "ä", "x".repeat(256), "\ud800");
const path = fc.array(name, { minLength: 1, maxLength: 6 }).map((names) => names.join("/"));

it("lets no path through that leaves the folder", () => {
  fc.assert(
    fc.property(path, (given) => {
      if (pathProblem(given) !== null) return;
      expect(posix.resolve("/base", given).startsWith("/base/")).toBe(true);
      expect(posix.normalize(given)).toBe(given);
    }),
  );
});

it("lets no link through that leaves the folder", () => {
  fc.assert(
    fc.property(path, path, (link, target) => {
      if (pathProblem(link) !== null || linkTargetInside(link, target) === null) return;
      expect(`${posix.resolve("/base", posix.dirname(link), target)}/`.startsWith("/base/")).toBe(true);
    }),
  );
});

it.each([
  ["README", "readme"],
  ["e\u0301", "\u00e9"],
  ["Straße", "STRASSE"],
  ["Σ", "ς"],
])("takes %s and %s for one file", (one, other) => {
  expect(foldPath(one)).toBe(foldPath(other));
});
