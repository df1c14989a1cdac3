/** Routes of a proxy host keep their places and ids through every change. */
import { expect, it } from "vitest";
import { moved, withRoute } from "./rules.ts";
import type { HttpRoute } from "./schema.ts";

const route = (id: string, text = `/${id}`): HttpRoute => ({
  id,
  match: { kind: "path", text },
  target: { machine: null, host: "h", port: 1 },
  scheme: "http",
  requestHeaders: {},
  responseHeaders: {},
});
const ids = (routes: readonly HttpRoute[]) => routes.map(({ id }) => id).join("");
const abc = ["a", "b", "c"].map((id) => route(id));

it.each([
  ["c", 1, "cab"],
  ["a", 3, "bca"],
  ["a", 99, "bca"],
  ["b", 2, "abc"],
  ["x", 1, "abc"],
])("moves %s to %i", (id, order, expected) => expect(ids(moved(abc, id, order))).toBe(expected));

it("adds at the end or where it is told", () => {
  expect(ids(withRoute(abc, route("d")))).toBe("abcd");
  expect(ids(withRoute(abc, route("d"), 1))).toBe("dabc");
});

it("replaces what takes the same requests, under its id and in its place", () => {
  const changed = withRoute(abc, { ...route("new", "/b"), scheme: "https" });
  expect(ids(changed)).toBe("abc");
  expect(changed[1]?.scheme).toBe("https");
  expect(ids(withRoute(abc, route("new", "/b"), 1))).toBe("bac");
  expect(ids(withRoute(abc, { ...route("d"), match: { kind: "pattern", text: "/b" } }))).toBe("abcd");
});
