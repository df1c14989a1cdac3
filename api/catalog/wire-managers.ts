/**
 * The wire's catalog managers: kept, changed and forgotten.
 *
 * The one idea: an empty secret, or its mask, means the one that is kept; what may be done with that is decided where all managers are changed.
 */
import { z } from "zod";
import { managerUrl, type CatalogManager, type ManagerCredentials } from "../../domain/catalog/managers.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { changeManager, credentialsOf, forgetManager, keepManager, managerFor, managersSeen, type ManagerWords } from "./managers.ts";

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
/** What a deed on managers asks for: of all, or of one's own. */
export const either = (deed: "LIST" | "CREATE" | "UPDATE" | "DELETE") =>
  ({ claims: [`CATALOG_MANAGER_${deed}`, `CATALOG_MANAGER_${deed}_OWN`], any: true }) as const;

export function managerWireRoutes(hub: Hub, mount: Mount): void {
  const common = { tag, status: 200, reply: WireCatalogManager } as const;
  mount(
    "get",
    "/catalog-managers",
    "List catalog managers",
    { ...common, needs: either("LIST"), reply: z.array(WireCatalogManager) },
    async ({ actor }) => {
      return Promise.all((await managersSeen(hub, actor)).map((one) => shown(hub, one)));
    },
  );
  mount("get", "/catalog-managers/{id}", "Get a catalog manager", { ...common, needs: either("LIST") }, async (call) =>
    shown(hub, await managerFor(hub, call.actor, call.param("id"), "LIST")),
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
      await forgetManager(hub, call.asked, await managerFor(hub, call.actor, call.param("id"), "DELETE"));
      return { success: true, operation: "delete_catalog_manager" };
    },
  );
}

const missing = (what: string) => refusal(400, `Invalid request body: error 400: ${what}`);

function wordsIn({ name, url: written, authentication_method, required_claims, ...body }: CatalogManagerRequest): ManagerWords {
  if (name === "") throw missing("name is required");
  if (written === "") throw missing("url is required");
  const url = managerUrl(written);
  if (url === null) throw missing("url: an http or https address without user name, query and fragment");
  const { internal, active, global } = body;
  return { name, url, internal, active, authenticationMethod: authentication_method, global, requiredClaims: required_claims };
}

/** The contract answers 400 also where it is the other side that is wrong. */
async function inItsWords<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    if (!(error instanceof FaultError)) throw error;
    const { code, message } = error.fault;
    if (code === "invalid_request") throw missing(message);
    if (code === "remote_unreachable" || code === "remote_denied" || code === "address_forbidden")
      throw refusal(400, `error 400: ${message}`);
    throw error;
  });
}

async function make(hub: Hub, { asked, body }: Call<CatalogManagerRequest>) {
  const credentials = { username: body.username, password: body.password, apiKey: body.api_key };
  return wireManager(await inItsWords(keepManager(hub, asked, wordsIn(body), credentials)), credentials);
}

async function change(hub: Hub, { actor, asked, body, param }: Call<CatalogManagerRequest>) {
  const known = await managerFor(hub, actor, param("id"), "UPDATE");
  const words = wordsIn(body);
  const credentials = merged(await credentialsOf(hub, known.id), body);
  const renewed = isNew(body.api_key) || isNew(body.password);
  return wireManager(await inItsWords(changeManager(hub, asked, known, words, { credentials, renewed })), credentials);
}

const isNew = (sent: string): boolean => sent !== "" && sent !== hidden;

/** An empty secret, or its mask, keeps what there was; another kind of credentials takes the place of the kept ones. */
function merged(before: ManagerCredentials, { username, password, api_key }: CatalogManagerRequest): ManagerCredentials {
  const user = isNew(username) ? username : before.username;
  if (isNew(api_key)) return { username: "", password: "", apiKey: api_key };
  return isNew(password) ? { username: user, password, apiKey: "" } : { ...before, username: user };
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
