/** The adaptive level grows where the line is the limit, falls where the processor is, and stays within what pays. */
import { expect, it } from "vitest";
import { chooseLevel, defaultLevel } from "./level.ts";

it("stays where it was put", () => {
  const level = chooseLevel(5);
  level.packFull(4, 4);
  level.packFull(0, 4);
  expect(level.current()).toBe(5);
});

it("compresses more while all packs wait for the line, and less while the line waits for packs", () => {
  const level = chooseLevel("adaptive");
  expect(level.current()).toBe(defaultLevel);
  for (let pack = 0; pack < 20; pack++) level.packFull(4, 4);
  expect(level.current()).toBe(9);
  level.packFull(2, 4);
  expect(level.current()).toBe(9);
  for (let pack = 0; pack < 20; pack++) level.packFull(0, 4);
  expect(level.current()).toBe(1);
});
