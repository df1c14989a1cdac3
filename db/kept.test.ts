import { expect, it } from "vitest";
import { keeping } from "./kept.ts";

it("never keeps more than it may, and lets go of what was not asked for longest", () => {
  const kept = keeping<string>(100);
  for (const key of ["a", "b", "c", "d"]) kept.set(key, key, 25);
  expect(kept.get("a")).toBe("a");
  kept.set("e", "e", 20);
  expect(["a", "b", "c", "d", "e"].map((key) => kept.get(key) ?? "-")).toEqual(["a", "-", "c", "d", "e"]);
});

it("replaces what it has, and keeps nothing that would take the room of all others", () => {
  const kept = keeping<string>(100);
  for (let n = 0; n < 10; n += 1) kept.set("a", String(n), 25);
  kept.set("b", "b", 25);
  expect([kept.get("a"), kept.get("b")]).toEqual(["9", "b"]);
  kept.set("a", "large", 26);
  expect([kept.get("a"), kept.get("b")]).toEqual([undefined, "b"]);
});
