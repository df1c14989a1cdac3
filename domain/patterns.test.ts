/** A pattern that a caller wrote is used as written, or refused with a reason; none can stall the process. */
import { expect, it } from "vitest";
import { compiled } from "./patterns.ts";

it.each(["([", "(a+)+$", "(a*)*", "(a{1,9}){1,9}", "x".repeat(129), "*"])("refuses %s", (written) =>
  expect(compiled(written).ok).toBe(false),
);

it.each([
  ["^/v[0-9]+", "/V1", false],
  ["^/v[0-9]+", "/v1", true],
  ["(?i)^/v[0-9]+", "/V1", true],
])("takes %s as it is written", (written, text, expected) => {
  const judged = compiled(written);
  expect(judged.ok && judged.pattern.test(text)).toBe(expected);
});
