/**
 * The catalog behind a catalog manager, route by route as our own.
 *
 * The one idea: each request is sent on with the manager's credentials and its answer passed back, once it is known that the caller may use the manager and
 * see what the request is about. What the other side says about the manager's own rights is its fault and not the caller's.
 */
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { z } from "zod";
import { findCatalogManager } from "../../db/catalog-managers.ts";
import type { Needs } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { mayManage, mayPassThrough, type CatalogManager, type RemoteAnswer } from "../../domain/catalog/managers.ts";
import type { Holder } from "../../domain/catalog/rules.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { jsonIn, refusalIn, seenBy, withoutPlaces } from "./remote-answers.ts";
import { CatalogManifest, CatalogManifestRecord, GroupedCatalog } from "./wire.ts";
import { noManager } from "./managers.ts";

const tag = "catalog managers";
const base = "/catalog-managers/{id}";
const version = "/catalog/{catalogId}/{version}/{architecture}";
/** As it was sent: the other side knows what it means. */
const PassedOn = z.record(z.string(), z.unknown()).meta({ id: "PassedOn", description: "As the other catalog expects it." });
const Imported = z.object({ id: z.string().optional() });

type Method = Parameters<Mount>[0];
interface Passed {
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly needs: Needs;
  readonly status?: 202;
  readonly reply?: z.ZodType;
  readonly body?: typeof PassedOn;
}
export const listing = { claims: ["LIST_CATALOG_MANIFEST", "CATALOG_MANAGER_LIST_CATALOG_MANIFEST_OWN"], any: true } as const;
const remove = { claims: ["DELETE_CATALOG_MANIFEST", "CATALOG_MANAGER_DELETE_CATALOG_MANIFEST_OWN"], any: true } as const;
const edit = { claims: ["CATALOG_MANAGER_UPDATE", "CATALOG_MANAGER_UPDATE_CATALOG_MANIFEST_OWN"], any: true } as const;
const bring = { claims: ["PUSH_CATALOG_MANIFEST", "CATALOG_MANAGER_IMPORT_CATALOG_MANIFEST_OWN"], any: true } as const;
const superUser = { superUser: true } as const;
const record = { reply: CatalogManifestRecord, body: PassedOn } as const;

const reads = [
  { path: "/catalog", summary: "List the images of another catalog", reply: GroupedCatalog },
  { path: "/catalog/{catalogId}", summary: "List the versions of an image there", reply: z.array(CatalogManifest) },
  { path: "/catalog/{catalogId}/{version}", summary: "List the architectures of a version there", reply: z.array(CatalogManifest) },
  { path: version, summary: "Get one version there", reply: CatalogManifest },
  { path: `${version}/download`, summary: "Get one version there to be pulled, and count it", reply: CatalogManifest },
].map((read): Passed => ({ method: "get", needs: listing, ...read }));
const removals = ["/catalog/{catalogId}", "/catalog/{catalogId}/{version}", version].map((path): Passed => ({
  method: "delete",
  path,
  summary: "Remove versions there",
  needs: remove,
  status: 202,
}));
const marks = ["taint", "untaint", "revoke"].map((mark): Passed => ({
  method: "patch",
  path: `${version}/${mark}`,
  summary: `${mark} a version there`,
  needs: superUser,
  reply: CatalogManifest,
}));
const edits = (["claims", "roles", "tags"] as const).flatMap((words) =>
  (["patch", "delete"] as const).map((method): Passed => ({
    method,
    path: `${version}/${words}`,
    summary: `Change the ${words} of a version there`,
    needs: edit,
    ...record,
  })),
);
const writes: readonly Passed[] = [
  {
    method: "post",
    path: "/catalog",
    summary: "Register a version there",
    needs: { claims: ["CREATE_CATALOG_MANIFEST", "CATALOG_MANAGER_CREATE_CATALOG_MANIFEST_OWN"], any: true },
    reply: CatalogManifest,
    body: PassedOn,
  },
  {
    method: "patch",
    path: `${version}/connection`,
    summary: "Change how a version's files are reached there",
    needs: superUser,
    ...record,
  },
  { method: "put", path: `${version}/metadata`, summary: "Change the words of a version there", needs: edit, ...record },
  { method: "put", path: "/catalog/import", summary: "Import a version there", needs: bring, reply: Imported, body: PassedOn },
  { method: "put", path: "/catalog/import-vm", summary: "Import an archive there", needs: bring, reply: Imported, body: PassedOn },
];

export function throughWireRoutes(hub: Hub, mount: Mount): void {
  for (const { method, path, summary, needs, status, reply, body } of [...reads, ...removals, ...marks, ...edits, ...writes]) {
    const options = { tag, needs, status: status ?? 200, ...(reply ? { reply } : {}), ...(body ? { body } : {}) } as const;
    mount<z.ZodType>(method, `${base}${path}`, summary, options, (call) => passOn(hub, call, { method, path, sends: body !== undefined }));
  }
}

type Asking = Pick<Call<unknown>, "c" | "actor" | "param">;

/** One that the caller may reach through. */
export async function mustPassThrough({ db }: Pick<Hub, "db">, actor: Actor, id: string): Promise<CatalogManager> {
  const found = await findCatalogManager(db, id, { project: actor.project });
  if (!found) throw noManager();
  if (mayPassThrough(found, actor)) return found;
  if (!found.active && mayManage(found, actor, "LIST")) throw refusal(400, "error 400: the catalog manager is not active");
  throw refusal(403, "you do not have access to this catalog manager");
}

export const holderIn = ({ roles, claims, isSuperUser }: Actor): Holder => ({ roles, claims, everything: isSuperUser });

interface Passing {
  readonly method: Method;
  readonly path: string;
  readonly sends: boolean;
}

async function passOn(hub: Hub, call: Call<unknown>, { method, path, sends }: Passing): Promise<Response> {
  const manager = await mustPassThrough(hub, call.actor, call.param("id"));
  const named = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(call.param(name)));
  if (method !== "get") await mustBeSeen(hub, manager, call);
  const answer = await asked(hub, manager, call, { method, path: `${named}${queryOf(call)}`, ...(sends ? { body: call.body } : {}) });
  const told = withoutPlaces(jsonIn(answer, manager.url));
  const seen = method === "get" ? seenBy(told, holderIn(call.actor)) : told;
  if (seen === null) throw refusal(404, "error 404: catalog manifest not found");
  const { c } = call;
  if (seen === undefined) return c.body(null, answer.status as ContentfulStatusCode, { "Content-Type": "application/json" });
  return c.json(seen, answer.status as ContentfulStatusCode);
}

/** Before something is done to versions there: the caller must see them. */
async function mustBeSeen(hub: Hub, manager: CatalogManager, call: Asking): Promise<void> {
  const words = ["catalogId", "version", "architecture"].map((name) => call.param(name)).filter((word) => word !== "");
  if (words.length === 0 || call.actor.isSuperUser) return;
  const answer = await asked(hub, manager, call, { method: "get", path: `/catalog/${words.map(encodeURIComponent).join("/")}` });
  const all = jsonIn(answer, manager.url);
  const [there, seen] = [all, seenBy(all, holderIn(call.actor))].map((found) => (Array.isArray(found) ? found : found ? [found] : []));
  // Deleting an id deletes all its versions, also those that the caller does not know of.
  if (there?.length !== 0 && there?.length === seen?.length) return;
  throw refusal(404, "error 404: catalog manifest not found");
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The other side's answer, if it did what was asked; what it refuses is refused here, in our form. */
export async function asked(
  hub: Hub,
  manager: CatalogManager,
  { c, actor }: Pick<Asking, "c" | "actor">,
  sent: Sent,
): Promise<RemoteAnswer> {
  const filter = c.req.header("X-Filter");
  const answer = await hub.remotes.open(manager).ask({
    ...sent,
    method: sent.method.toUpperCase(),
    headers: { ...onBehalfOf(actor), ...(filter === undefined ? {} : { "X-Filter": filter }), ...sent.headers },
    signal: AbortSignal.any([hub.closing, c.req.raw.signal]),
  });
  if (answer.status >= 200 && answer.status < 300) return answer;
  const message = refusalIn(answer, manager.url);
  if (answer.status >= 400 && answer.status < 500) throw refusal(answer.status as ContentfulStatusCode, message);
  throw new FaultError({ code: "remote_unreachable", message: `The catalog at ${manager.url} answers with status ${answer.status}.` });
}

/** A service that honours them shows only what the caller might see there. */
const onBehalfOf = ({ roles, claims, isSuperUser }: Actor): Record<string, string> => ({
  "X-Source": "CATALOG_MANAGER_REQUEST",
  "X-Claims": listed(claims),
  "X-Roles": listed(roles),
  "X-Super-User": String(isSuperUser),
});
const listed = (words: readonly string[]): string => Buffer.from(words.join(",")).toString("base64");

/** What was asked behind the question mark, but no token. */
function queryOf({ c }: Asking): string {
  const query = new URL(c.req.url).searchParams;
  for (const name of ["access_token", "authorization"]) query.delete(name);
  return query.size === 0 ? "" : `?${query}`;
}
