/**
 * The wire's catalog managers: kept, changed and forgotten.
 *
 * The one idea: a manager is kept only after its catalog answered with its credentials, and credentials stay with the address that they were given for:
 * whoever changes the address brings them anew.
 */
import { z } from "zod";
import {
  changeCatalogManager,
  findCatalogManager,
  insertCatalogManager,
  listCatalogManagers,
  removeCatalogManager,
  sealedManagerCredentials,
} from "../../db/catalog-managers.ts";
import { holds } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { isWhole, managerUrl, mayManage, type CatalogManager, type ManagerCredentials } from "../../domain/catalog/managers.ts";
import { FaultError } from "../../domain/errors.ts";
import { managerSeal } from "../../security/sealed-texts.ts";
import type { Hub } from "../ports.ts";
import { audited } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";

const hidden = "********";
const text = z.string().max(2048).default("");
const CatalogManagerRequest = z
  .object({
    name: text,
    url: text,
    internal: z.boolean().default(false),
    active: z.boolean().default(true),
    authentication_method: text,
    username: text,
    password: text,
    api_key: text,
    global: z.boolean().default(false),
    required_claims: z.array(z.string().min(1).max(128)).max(64).default([]),
  })
  .meta({ id: "CatalogManagerRequest" });
type CatalogManagerRequest = z.output<typeof CatalogManagerRequest>;
const WireCatalogManager = z
  .object({
    id: z.string(),
    name: z.string(),
    url: z.string(),
    internal: z.boolean(),
    active: z.boolean(),
    authentication_method: z.string(),
    username: z.string().optional(),
    password: z.string().optional(),
    api_key: z.string().optional(),
    global: z.boolean(),
    required_claims: z.array(z.string()).optional(),
    owner_id: z.string(),
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: "CatalogManager" });
const ApiCommonResponse = z.object({ success: z.boolean(), operation: z.string().optional() }).meta({ id: "ApiCommonResponse" });

const tag = "catalog managers";
const either = (deed: "LIST" | "CREATE" | "UPDATE" | "DELETE") =>
  ({ claims: [`CATALOG_MANAGER_${deed}`, `CATALOG_MANAGER_${deed}_OWN`], any: true }) as const;

export function managerWireRoutes(hub: Hub, mount: Mount): void {
  const common = { tag, status: 200, reply: WireCatalogManager } as const;
  mount(
    "get",
    "/catalog-managers",
    "List catalog managers",
    { ...common, needs: either("LIST"), reply: z.array(WireCatalogManager) },
    async ({ actor }) => {
      const managers = (await listCatalogManagers(hub.db, actor.project)).filter((one) => mayManage(one, actor, "LIST"));
      return Promise.all(managers.map((one) => shown(hub, one)));
    },
  );
  mount("get", "/catalog-managers/{id}", "Get a catalog manager", { ...common, needs: either("LIST") }, async (call) =>
    shown(hub, await mustManage(hub, call, "LIST")),
  );
  const body = CatalogManagerRequest;
  mount("post", "/catalog-managers", "Keep a catalog manager", { ...common, needs: either("CREATE"), body }, (call) => make(hub, call));
  mount("put", "/catalog-managers/{id}", "Change a catalog manager", { ...common, needs: either("UPDATE"), body }, (call) =>
    change(hub, call),
  );
  mount(
    "delete",
    "/catalog-managers/{id}",
    "Forget a catalog manager",
    { tag, status: 200, needs: either("DELETE"), reply: ApiCommonResponse },
    async (call) => {
      const { id, name } = await mustManage(hub, call, "DELETE");
      await audited(hub, call.asked, { action: "catalog_manager.removed", subject: name }, (tx) => removeCatalogManager(tx, id));
      return { success: true, operation: "delete_catalog_manager" };
    },
  );
}

export const noManager = () => new FaultError({ code: "catalog_manager_not_found", message: "catalog manager not found" });

async function mustManage(
  { db }: Hub,
  { actor, param }: Pick<Call<unknown>, "actor" | "param">,
  deed: Parameters<typeof mayManage>[2],
): Promise<CatalogManager> {
  const found = await findCatalogManager(db, param("id"), { project: actor.project });
  if (!found) throw noManager();
  if (mayManage(found, actor, deed)) return found;
  throw refusal(403, "you do not have access to this catalog manager");
}

const missing = (what: string) => refusal(400, `Invalid request body: error 400: ${what}`);

function checked(body: CatalogManagerRequest, actor: Actor, deed: "CREATE" | "UPDATE") {
  if (body.name === "") throw missing("name is required");
  if (body.url === "") throw missing("url is required");
  const url = managerUrl(body.url);
  if (url === null) throw missing("url: an http or https address without user name, query and fragment");
  if ((body.global || body.internal) && !holds(actor, `CATALOG_MANAGER_${deed}`))
    throw refusal(403, `only holders of the claim CATALOG_MANAGER_${deed} make catalog managers that are global or internal`);
  const { name, internal, active, authentication_method, global, required_claims: requiredClaims } = body;
  return { name, url, internal, active, authenticationMethod: authentication_method, global, requiredClaims };
}

async function make(hub: Hub, { actor, asked, body }: Call<CatalogManagerRequest>) {
  const values = checked(body, actor, "CREATE");
  const credentials = { username: body.username, password: body.password, apiKey: body.api_key };
  if (!isWhole(credentials)) throw missing("api_key, or username and password, are required");
  const place = { id: crypto.randomUUID(), url: values.url, trusted: holds(actor, "CATALOG_MANAGER_CREATE") };
  await mustAnswer(hub, place, credentials);
  const row = { ...values, ...place, project: actor.project, ownerId: actor.userId };
  const sealed = await managerSeal(hub.sealer).close(place.id, credentials);
  return audited(hub, asked, { action: "catalog_manager.added", subject: values.name }, async (tx) => {
    const made = await insertCatalogManager(tx, { ...row, sealed });
    if (!made) throw noManager();
    return wireManager(made, credentials);
  });
}

async function change(hub: Hub, call: Call<CatalogManagerRequest>) {
  const { actor, asked, body } = call;
  const known = await mustManage(hub, call, "UPDATE");
  const { ownerId, id } = known;
  const values = checked(body, actor, "UPDATE");
  const moves = values.url !== known.url;
  const credentials = merged(await credentialsOf(hub, id), body);
  if (moves && body.api_key === "" && body.password === "")
    throw missing("another url needs its credentials anew: those that are kept are for the one before");
  if (!isWhole(credentials)) throw missing("api_key, or username and password, are required");
  const place = { id, url: values.url, trusted: moves ? holds(actor, "CATALOG_MANAGER_UPDATE") : known.trusted };
  await mustAnswer(hub, place, credentials);
  const sealed = await managerSeal(hub.sealer).close(id, credentials);
  return audited(hub, asked, { action: "catalog_manager.changed", subject: values.name }, async (tx) => {
    const changed = await changeCatalogManager(tx, id, { ...values, trusted: place.trusted, ownerId, sealed });
    if (!changed) throw noManager();
    return wireManager(changed, credentials);
  });
}

/** An empty secret, or its mask, keeps what there was; another kind of credentials takes the place of the kept ones. */
function merged(before: ManagerCredentials, { username, password, api_key }: CatalogManagerRequest): ManagerCredentials {
  const kept = (sent: string, old: string) => (sent === "" || sent === hidden ? old : sent);
  if (api_key !== "" && api_key !== hidden) return { username: "", password: "", apiKey: api_key };
  if (password !== "" && password !== hidden) return { username: kept(username, before.username), password, apiKey: "" };
  return { ...before, username: kept(username, before.username) };
}

/** It logs in and lists its catalog. */
async function mustAnswer(hub: Hub, place: Pick<CatalogManager, "id" | "url" | "trusted">, credentials: ManagerCredentials): Promise<void> {
  const signal = AbortSignal.any([hub.closing, AbortSignal.timeout(tryMs)]);
  const remote = hub.remotes.open(place, credentials);
  const answer = await remote.ask({ method: "GET", path: "/catalog", signal }).catch((cause: unknown) => {
    throw cause instanceof FaultError ? refusal(400, `error 400: ${cause.fault.message}`) : cause;
  });
  if (answer.status !== 200) throw refusal(400, `error 400: the catalog at ${place.url} answers with status ${answer.status}`);
}

/** Somebody waits for it, and a catalog that is not there in this time would be no use either. */
const tryMs = 20_000;
const none: ManagerCredentials = { username: "", password: "", apiKey: "" };

async function credentialsOf({ db, sealer }: Hub, id: string): Promise<ManagerCredentials> {
  const sealed = await sealedManagerCredentials(db, id);
  return sealed ? managerSeal(sealer).open(id, sealed) : none;
}

const shown = async (hub: Hub, manager: CatalogManager) => wireManager(manager, await credentialsOf(hub, manager.id));

function wireManager(manager: CatalogManager, { username, password, apiKey }: ManagerCredentials): z.input<typeof WireCatalogManager> {
  const masked = (name: string, value: string) => (value === "" ? {} : { [name]: hidden });
  return {
    id: manager.id,
    name: manager.name,
    url: manager.url,
    internal: manager.internal,
    active: manager.active,
    authentication_method: manager.authenticationMethod || (apiKey === "" ? "credentials" : "api_key"),
    ...masked("username", username),
    ...masked("password", password),
    ...masked("api_key", apiKey),
    global: manager.global,
    ...(manager.requiredClaims.length === 0 ? {} : { required_claims: manager.requiredClaims }),
    owner_id: manager.ownerId ?? "",
    created_at: manager.createdAt.toISOString(),
    updated_at: manager.updatedAt.toISOString(),
  };
}
