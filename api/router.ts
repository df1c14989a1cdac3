/**
 * The router of the API: Hono's own for paths that may mean several routes, with what it found lately.
 *
 * The one idea: callers ask the same paths over and over, and which handlers a path has never changes once the first was asked for. Without it a search
 * through some six hundred routes is three percent of reading a machine.
 */
import type { Result, Router } from "hono/router";
import { TrieRouter } from "hono/router/trie-router";

/** More paths than a page of machines has, polled one by one; bounds the memory. */
const mostKept = 2_000;
/** A path that is longer names nothing that is asked for often. */
const longestKept = 256;

export function rememberingRouter<T>(): Router<T> {
  const router = new TrieRouter<T>();
  const kept = new Map<string, Result<T>>();
  return {
    name: "RememberingRouter",
    add: (method, path, handler) => {
      kept.clear();
      router.add(method, path, handler);
    },
    match: (method, path) => {
      const key = `${method} ${path}`;
      const known = kept.get(key);
      if (known) return known;
      const found = router.match(method, path);
      if (kept.size >= mostKept) kept.clear();
      if (key.length <= longestKept) kept.set(key, found);
      return found;
    },
  };
}
