/** What the router of the API promises: it finds what Hono's own does, also the second time, and what is added later. */
import { TrieRouter } from "hono/router/trie-router";
import { expect, it } from "vitest";
import { rememberingRouter } from "./router.ts";

const routes = [
  ["ALL", "*", "all"],
  ["GET", "/machines/:id", "one"],
  ["GET", "/machines/:name{[a-z]+}", "named"],
  ["PUT", "/machines/:id/:verb", "act"],
  ["GET", "/machines/*", "rest"],
] as const;

it("finds the same handlers and parameters as Hono's own router, however often it is asked", () => {
  const [ours, theirs] = [rememberingRouter<string>(), new TrieRouter<string>()];
  for (const [method, path, handler] of routes) for (const router of [ours, theirs]) router.add(method, path, handler);
  for (let asked = 0; asked < 3; asked++)
    for (const method of ["GET", "PUT", "DELETE"])
      for (const path of ["/machines/1", "/machines/abc", "/machines/1/start", "/", "/none"])
        expect(ours.match(method, path)).toEqual(theirs.match(method, path));
});

it("finds what is added after it was asked, and keeps no more than it may", () => {
  const router = rememberingRouter<string>();
  router.add("GET", "/a", "first");
  const handlers = () => router.match("GET", "/a")[0].map(([handler]) => handler);
  expect(handlers()).toEqual(["first"]);
  router.add("GET", "/a", "second");
  expect(handlers()).toEqual(["first", "second"]);
  for (let path = 0; path < 10_000; path++) router.match("GET", `/a/${path}`);
  expect(handlers()).toEqual(["first", "second"]);
});
