/** Scripts rely on these numbers: each kind of fault has one, and none changes. */
import { describe, expect, it } from "vitest";
import { readFileSync } from "node:fs";
import { codes, FaultError, factsOf, isCode, kinds } from "../domain/errors.ts";
import { describeExitCodes, exitCodeOf, exitCodeOfGuest, exitCodeOfStatus, exitCodes } from "./exit-codes.ts";
import { exitCodeOfError, problemOf, usageFault } from "./problem.ts";

describe("exit codes", () => {
  it("are the published ones", () => {
    const published = Object.fromEntries(Object.entries(exitCodes).map(([name, { code }]) => [name, code]));
    expect(published).toEqual({
      done: 0,
      internal: 1,
      usage: 2,
      refused: 3,
      notFound: 4,
      conflict: 5,
      failed: 6,
      cancelled: 7,
      unreachable: 8,
      timeout: 9,
    });
  });

  it("stand in the documentation as they are", () => {
    // A formatter may pad the columns of the table.
    const documented = readFileSync(new URL("../docs/exit-codes.md", import.meta.url), "utf8").replaceAll(/ {2,}/g, " ");
    for (const { code, meaning } of Object.values(exitCodes)) {
      expect(documented).toContain(`| ${code} | ${meaning} |`);
      expect(describeExitCodes()).toContain(`${code}  ${meaning}`);
    }
  });

  it.each([
    ["invalid_request", 2],
    ["unauthenticated", 3],
    ["forbidden", 3],
    ["image_revoked", 3],
    ["machine_not_found", 4],
    ["machine_busy", 5],
    ["machine_state", 5],
    ["no_capacity", 5],
    ["content_corrupt", 6],
    ["hub_unavailable", 8],
    ["internal", 1],
  ] as const)("tell %s as %d", (code, exit) => expect(exitCodeOf(code)).toBe(exit));

  it("follow the kind of every code that there is, and are never 0", () => {
    for (const code of Object.keys(codes)) if (isCode(code)) expect(exitCodeOf(code), code).toBeGreaterThan(0);
  });

  it("follow the status where a newer hub has a code that this release does not know", () => {
    for (const code of Object.keys(codes).filter(isCode)) expect(exitCodeOfStatus(kinds[factsOf(code).kind].status)).toBe(exitCodeOf(code));
    expect([exitCodeOfStatus(418), exitCodeOfStatus(507)]).toEqual([2, 1]);
    const error = new FaultError({
      code: "internal",
      message: "Too late.",
      details: { code: "lease_over", status: 409, remedy: "Take another." },
    });
    expect(exitCodeOfError(error)).toBe(5);
    expect(problemOf(error)).toEqual({ code: "lease_over", message: "Too late.", remedy: "Take another." });
  });

  it("hand on a guest's code, and turn one that no shell can tell into a failure", () =>
    expect([0, 3, 255, 256, -1, 3221225786].map(exitCodeOfGuest)).toEqual([0, 3, 255, 1, 1, 1]));

  it("tell an unforeseen error as internal and a mistake in usage as usage", () => {
    expect(exitCodeOfError(new TypeError("x is undefined"))).toBe(1);
    expect(exitCodeOfError(usageFault("Name an image."))).toBe(2);
    expect(problemOf(usageFault("Name an image.", "drover pull"))).toMatchObject({
      code: "usage",
      remedy: "`drover pull --help` shows how the command is used.",
    });
  });
});
