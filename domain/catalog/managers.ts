/**
 * Catalog managers: catalogs of other hubs, or of Parallels DevOps services, that are reached through this one.
 *
 * The one idea: whoever may use a manager acts on the other side with the manager's credentials, so who that is, is decided here, on the facts of this hub.
 */
import { z } from "zod";
import { holds } from "../access/rules.ts";
import type { Actor } from "../access/schema.ts";

export const CatalogManager = z.object({
  /** A UUID of ours, or whatever the service called it that it was imported from. */
  id: z.string(),
  project: z.string(),
  name: z.string(),
  url: z.string(),
  internal: z.boolean(),
  active: z.boolean(),
  authenticationMethod: z.string(),
  global: z.boolean(),
  requiredClaims: z.array(z.string()),
  /** Null once that user is gone: then it is the super users'. */
  ownerId: z.string().nullable(),
  /** Whether somebody who may make managers for all named its address: only then does it lead into private networks. */
  trusted: z.boolean(),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type CatalogManager = z.infer<typeof CatalogManager>;

/** How the other side knows the manager: an API key (base64 of `key:secret`), or a user. Kept sealed, never told. */
export const ManagerCredentials = z.object({ username: z.string(), password: z.string(), apiKey: z.string() });
export type ManagerCredentials = z.infer<typeof ManagerCredentials>;

export const isWhole = ({ username, password, apiKey }: ManagerCredentials): boolean =>
  apiKey !== "" || (username !== "" && password !== "");

type Deed = "LIST" | "UPDATE" | "DELETE";
type Owned = Pick<CatalogManager, "ownerId" | "global" | "requiredClaims" | "active">;

const isOwn = ({ ownerId }: Owned, actor: Actor): boolean => ownerId !== null && ownerId === actor.userId;
const holdsAll = (words: readonly string[], actor: Actor): boolean =>
  actor.isSuperUser || words.every((word) => actor.claims.some((own) => own.toUpperCase() === word.toUpperCase()));

/** Its record: the owner's, whoever has the claim for all of them, and for reading all who may use a global one. */
export const mayManage = (manager: Owned, actor: Actor, deed: Deed): boolean =>
  isOwn(manager, actor) ||
  holds(actor, `CATALOG_MANAGER_${deed}`) ||
  (deed === "LIST" && manager.global && holdsAll(manager.requiredClaims, actor));

/** What lies behind it. */
export const mayPassThrough = (manager: Owned, actor: Actor): boolean =>
  manager.active && (actor.isSuperUser || isOwn(manager, actor) || (manager.global && holdsAll(manager.requiredClaims, actor)));

/** The address as it is kept: without the paths that every request adds. Null: no such address can be asked. */
export function managerUrl(written: string): string | null {
  const url = URL.canParse(written) ? new URL(written) : null;
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    return null;
  return `${url.origin}${url.pathname.replace(/\/+$/, "").replace(/\/api(\/v1)?$/, "")}`;
}

/** An answer of the other side, its body whole. */
export interface RemoteAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}
export interface RemoteRequest {
  readonly method: string;
  /** Below `/api/v1`. */
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}
/** The other side, asked with a manager's credentials. Fails with `remote_unreachable`, `remote_denied` or `address_forbidden`. */
export interface RemoteCatalog {
  ask(request: RemoteRequest): Promise<RemoteAnswer>;
  /** A file below `/api`; only a 200 is an answer. */
  download(path: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

const ManagerAddress = z
  .string()
  .max(2048)
  .refine((written) => managerUrl(written) !== null, "must be an http or https address without user name, query and fragment");
const secret = z.string().min(1).max(2048);
const GivenCredentials = z.union([z.strictObject({ apiKey: secret }), z.strictObject({ username: secret, password: secret })]).meta({
  description: "An API key (base64 of key:secret), or a user name and a password; never told again.",
});
const words = {
  name: z.string().min(1).max(128),
  url: ManagerAddress,
  active: z.boolean().meta({ description: "One that is not is kept and reached by nobody." }),
  global: z.boolean().meta({ description: "Whether everybody of the project who holds the required claims may use it." }),
  requiredClaims: z.array(z.string().min(1).max(128)).max(64),
};
export const NewCatalogManager = z
  .object({
    ...words,
    active: words.active.default(true),
    global: words.global.default(false),
    requiredClaims: words.requiredClaims.default([]),
    credentials: GivenCredentials,
  })
  .meta({ id: "NewCatalogManager" });
export const CatalogManagerChange = z
  .object({ ...words, credentials: GivenCredentials })
  .partial()
  .meta({ id: "CatalogManagerChange", description: "Another url needs its credentials anew." });

/** As it is told: whether it has a key or a password, and neither of them. */
export const ToldCatalogManager = z
  .object({
    id: z.string(),
    ...words,
    url: z.string(),
    authentication: z.enum(["api_key", "password", "none"]),
    ownerId: z.string().nullable(),
    createdAt: z.date(),
    updatedAt: z.date(),
  })
  .meta({ id: "ToldCatalogManager" });
export type ToldCatalogManager = z.infer<typeof ToldCatalogManager>;

/** A version in another catalog, as that catalog calls it. */
export const RemoteImage = z
  .object({
    catalogId: z.string(),
    version: z.string(),
    architecture: z.string(),
    description: z.string(),
    tags: z.array(z.string()),
    bytes: z.number(),
    state: z.enum(["usable", "tainted", "revoked"]),
    updatedAt: z.string(),
  })
  .meta({ id: "RemoteImage" });
export type RemoteImage = z.infer<typeof RemoteImage>;

export const credentialsIn = (given: z.infer<typeof GivenCredentials>): ManagerCredentials =>
  "apiKey" in given ? { username: "", password: "", apiKey: given.apiKey } : { ...given, apiKey: "" };
