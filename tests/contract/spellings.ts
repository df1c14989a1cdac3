/**
 * Other spellings of one request, which mean the same: field names in any case, slashes in any number; and filters that want to do harm.
 *
 * The one idea: each is made from the request that the table holds, so no route is left out.
 */
import type { Sent } from "./world.ts";

/** What is kept under these has names of the caller's own. */
const ownNames = /^(meta|environment_variables)$/;

/** `machine_name` becomes `MACHINE_name`: neither as it is documented nor all in one case. */
const otherCase = (name: string): string => name.replace(/^[a-z]+/, (start) => start.toUpperCase());

export function inOtherCase(body: unknown): unknown {
  if (Array.isArray(body)) return body.map(inOtherCase);
  if (typeof body !== "object" || body === null) return body;
  return Object.fromEntries(
    Object.entries(body).map(([name, value]) => [otherCase(name), ownNames.test(name) ? value : inOtherCase(value)]),
  );
}

/** Every slash twice, and one more at the end. */
export function withMoreSlashes(sent: Sent): Sent {
  const [path = "", query] = sent.path.split("?");
  return { ...sent, path: `http://localhost${path.replaceAll("/", "//")}/${query === undefined ? "" : `?${query}`}` };
}

/** An answer without what is new in each: ids, times, tokens. */
export const lasting = (text: string): string =>
  text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi, "<id>")
    .replaceAll(/\b[0-9a-f]{16,64}\b/gi, "<hex>")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replaceAll(/"(encoded|token)":"[^"]+"/g, '"$1":"<secret>"')
    // Nobody reports for the hosts of this world: they grow late while the suite runs.
    .replaceAll(/"state":"(un)?healthy"/g, '"state":"<health>"')
    .replaceAll(/"has_websocket_events":(true|false)/g, '"has_websocket_events":"<health>"');

export const hostileFilters = [
  "name=(a+)+$",
  "name=(a|a)*b",
  "id=^(([0-9a-f-])+)+$",
  "name=(.*)*\\1",
  `name=${"(".repeat(400)}`,
  `name=${"a{1,1000}".repeat(20)}`,
  "name=[",
  "name=\\",
  "name=(?<=a)",
  "=",
  "==",
  "name",
  "a.b.c.d.e.f=.",
  "__proto__=x",
  "constructor.name=Object",
  "Hardware.cpu=.",
] as const;

/** Lists of the contract that heed a filter. */
export const filteredLists = [
  "auth/api_keys",
  "auth/claims",
  "auth/roles",
  "auth/users",
  "catalog",
  "machines",
  "orchestrator/hosts",
  "orchestrator/hosts/{id}/machines",
  "orchestrator/machines",
  "orchestrator/hosts/{id}/reverse-proxy/hosts",
  "reverse-proxy/hosts",
  "templates/packer",
  "user/configs",
].map((path) => `GET /api/v1/${path}`);
