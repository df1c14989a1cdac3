/**
 * One form for every path, so that routes are written once.
 *
 * The one idea: double and trailing slashes, another prefix and the wire's unversioned alias are taken off before routing. Nothing is redirected: a redirect
 * turns a POST into a GET in many clients.
 */

/** The path of a request's address, which is whole and in its usual form; a `URL` per request costs more than its route. */
export function pathIn(address: string): string {
  const begin = address.indexOf("/", address.indexOf("://") + 3);
  const end = address.slice(begin).search(/[?#]/);
  return end < 0 ? address.slice(begin) : address.slice(begin, begin + end);
}

/** Parts of the API that are no alias of the wire's `/api/v1`. */
const ours = /^\/api\/(v1|v2)(\/|$)/;

export function routedPath(pathname: string, prefix: string): string {
  const single = pathname.replace(/\/{2,}/g, "/");
  const bare = single.length > 1 && single.endsWith("/") ? single.slice(0, -1) : single;
  const own = prefix === "/api" ? bare : underApi(bare, prefix);
  if (own === "/api" || !own.startsWith("/api/") || ours.test(own)) return own;
  return `/api/v1${own.slice("/api".length)}`;
}

const underApi = (path: string, prefix: string): string => {
  const trimmed = prefix.replace(/\/+$/, "");
  return path === trimmed || path.startsWith(`${trimmed}/`) ? `/api${path.slice(trimmed.length)}` : path;
};

/** Paths of the Parallels DevOps contract, and all that belong to nobody: its clients know those answers. */
export const isWire = (routed: string): boolean => !/^\/(api\/v2|codec)(\/|$)/.test(routed);
