/**
 * How the HTTP routes of a proxy host change. Pure.
 *
 * The one idea: routes are tried in the order of their list, so their order is the list itself; a number that says it would be a second truth.
 */
import type { HttpRoute } from "./schema.ts";

/** A route that takes the same requests is replaced and keeps its id and place; another one comes at `order` (from 1), or last. */
export function withRoute(routes: readonly HttpRoute[], route: HttpRoute, order?: number): HttpRoute[] {
  const same = routes.findIndex(({ match }) => match.kind === route.match.kind && match.text === route.match.text);
  const replaced = routes[same];
  if (replaced) return moved(routes.with(same, { ...route, id: replaced.id }), replaced.id, order);
  return moved([...routes, route], route.id, order);
}

/** The route comes at `order`, counted from 1; beyond the end is the end. Without an order all stay where they are. */
export function moved(routes: readonly HttpRoute[], id: string, order?: number): HttpRoute[] {
  const route = routes.find((one) => one.id === id);
  if (!route || order === undefined) return [...routes];
  return routes.filter((one) => one !== route).toSpliced(order - 1, 0, route);
}
