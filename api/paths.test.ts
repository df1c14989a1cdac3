import { expect, it } from "vitest";
import { isWire, pathIn, routedPath } from "./paths.ts";

it.each([
  ["/api/v1/machines", "/api", "/api/v1/machines"],
  ["/api/v1//machines/", "/api", "/api/v1/machines"],
  ["/api/machines/x/start", "/api", "/api/v1/machines/x/start"],
  ["/api/v2/machines/", "/api", "/api/v2/machines"],
  ["//api//v1///catalog", "/api", "/api/v1/catalog"],
  ["/devops/v1/machines", "/devops", "/api/v1/machines"],
  ["/devops/machines", "/devops/", "/api/v1/machines"],
  ["/", "/api", "/"],
  ["/healthz", "/api", "/healthz"],
])("routes %s under prefix %s as %s", (path, prefix, routed) => expect(routedPath(path, prefix)).toBe(routed));

it.each(["/", "/api/v2/machines", "/a//b/", "/a%20b/%C3%A9", "/a?b=/c#d", "/a#d?b", "/?x", "/:x@y/[z]"])(
  "reads the path of %s as a URL does",
  (rest) => {
    for (const origin of ["http://127.0.0.1:3080", "https://drover.example", "http://[::1]:80"]) {
      const { href, pathname } = new URL(`${origin}${rest}`);
      expect(pathIn(href)).toBe(pathname);
    }
  },
);

it("tells the wire's paths from ours", () => {
  expect(["/api/v1/machines", "/nope", "/api/v2", "/api/v2/hosts", "/codec/x/decode"].map(isWire)).toEqual([
    true,
    true,
    false,
    false,
    false,
  ]);
});
