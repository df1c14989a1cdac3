/** What people type, and what becomes of it. */
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { FaultError } from "../domain/errors.ts";
import { byteSize, given, imageReference, pairs, seconds } from "./values.ts";

const refusalOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof FaultError) return error.fault.message;
    throw error;
  }
  return "";
};

describe("values", () => {
  it.each([
    ["1024", 1024],
    ["512M", 512 * 1024 ** 2],
    ["8G", 8 * 1024 ** 3],
    ["8GiB", 8 * 1024 ** 3],
    ["8 gb", 8 * 1024 ** 3],
    ["1.5T", 1.5 * 1024 ** 4],
  ])("reads the size %s", (text, count) => expect(byteSize.parse(text)).toBe(count));

  it.each(["8X", "-1G", "", "G", "1e9"])("refuses the size %j", (text) => expect(byteSize.safeParse(text).success).toBe(false));

  it("reads durations as the configuration does", () =>
    expect([seconds.parse("90s"), seconds.parse("1h30m"), seconds.parse("10ms")]).toEqual([90, 5400, 1]));

  it("keeps what follows the first equals sign", () => expect(pairs.parse(["a=b=c", "d="])).toEqual({ a: "b=c", d: "" }));

  it.each([
    ["ubuntu", { catalogId: "ubuntu" }],
    ["ubuntu:24.04", { catalogId: "ubuntu", version: "24.04" }],
    ["ubuntu:24.04/arm64", { catalogId: "ubuntu", version: "24.04", architecture: "arm64" }],
    ["ubuntu/24.04/arm64", { catalogId: "ubuntu", version: "24.04", architecture: "arm64" }],
    ["ubuntu/24.04", { catalogId: "ubuntu", version: "24.04" }],
  ])("reads the image %s", (text, reference) => expect(imageReference(text)).toEqual(reference));

  it.each(["", ":1", "a:b:c/d/e", "a/b/c/d"])("refuses the image %j by name", (text) =>
    expect(refusalOf(() => imageReference(text))).toContain("does not name an image"),
  );

  it("names each option that is wrong, all at once", () => {
    const Options = z.object({ memory: byteSize, ttl: seconds });
    expect(refusalOf(() => given(Options, { memory: "much", ttl: "soon" }))).toBe(
      "memory: must be a size such as 512M or 8G; ttl: must be a duration such as 500ms, 15m, 1h30m or 7d.",
    );
  });
});
