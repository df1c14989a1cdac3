/**
 * Catalog managers, kept, changed and forgotten: for the wire and for our own routes.
 *
 * The one idea: a manager is kept only after its catalog answered with its credentials, and credentials stay with the address that they were given for:
 * whoever changes the address brings them anew.
 */
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
import { isWhole, mayManage, type CatalogManager, type ManagerCredentials } from "../../domain/catalog/managers.ts";
import { FaultError } from "../../domain/errors.ts";
import { managerSeal } from "../../security/sealed-texts.ts";
import type { Asked } from "../../control/start.ts";
import type { Hub } from "../ports.ts";
import { audited } from "../told.ts";

/** A manager as its caller words it; `url` as it is kept. */
export type ManagerWords = Pick<
  CatalogManager,
  "name" | "url" | "internal" | "active" | "authenticationMethod" | "global" | "requiredClaims"
>;
type Deed = Parameters<typeof mayManage>[2];

export const noManager = () => new FaultError({ code: "catalog_manager_not_found", message: "catalog manager not found" });
const invalid = (message: string) => new FaultError({ code: "invalid_request", message });

export const managersSeen = async ({ db }: Hub, actor: Actor): Promise<CatalogManager[]> =>
  (await listCatalogManagers(db, actor.project)).filter((one) => mayManage(one, actor, "LIST"));

export async function managerFor({ db }: Hub, actor: Actor, id: string, deed: Deed): Promise<CatalogManager> {
  const found = await findCatalogManager(db, id, { project: actor.project });
  if (!found) throw noManager();
  if (mayManage(found, actor, deed)) return found;
  throw new FaultError({ code: "not_owner", message: "you do not have access to this catalog manager" });
}

function mustOffer(actor: Actor, { global, internal }: ManagerWords, deed: "CREATE" | "UPDATE"): void {
  if ((!global && !internal) || holds(actor, `CATALOG_MANAGER_${deed}`)) return;
  const message = `only holders of the claim CATALOG_MANAGER_${deed} make catalog managers that are global or internal`;
  throw new FaultError({ code: "not_owner", message });
}

const mustBeWhole = (credentials: ManagerCredentials): void => {
  if (!isWhole(credentials)) throw invalid("api_key, or username and password, are required");
};

export async function keepManager(hub: Hub, asked: Asked, words: ManagerWords, credentials: ManagerCredentials): Promise<CatalogManager> {
  const { actor } = asked;
  mustOffer(actor, words, "CREATE");
  mustBeWhole(credentials);
  const place = { id: crypto.randomUUID(), url: words.url, trusted: holds(actor, "CATALOG_MANAGER_CREATE") };
  await mustAnswer(hub, place, credentials);
  const row = { ...words, ...place, project: actor.project, ownerId: actor.userId };
  const sealed = await managerSeal(hub.sealer).close(place.id, credentials);
  return audited(hub, asked, { action: "catalog_manager.added", subject: words.name }, async (tx) => {
    const made = await insertCatalogManager(tx, { ...row, sealed });
    if (!made) throw noManager();
    return made;
  });
}

/** `renewed`: whether the secret among the credentials was brought by this request. */
export interface Credentialed {
  readonly credentials: ManagerCredentials;
  readonly renewed: boolean;
}

export async function changeManager(
  hub: Hub,
  asked: Asked,
  { id, ownerId, url, trusted: before }: CatalogManager,
  words: ManagerWords,
  { credentials, renewed }: Credentialed,
): Promise<CatalogManager> {
  const { actor } = asked;
  mustOffer(actor, words, "UPDATE");
  const moves = words.url !== url;
  if (moves && !renewed) throw invalid("another url needs its credentials anew: those that are kept are for the one before");
  mustBeWhole(credentials);
  const trusted = moves ? holds(actor, "CATALOG_MANAGER_UPDATE") : before;
  await mustAnswer(hub, { id, url: words.url, trusted }, credentials);
  const sealed = await managerSeal(hub.sealer).close(id, credentials);
  return audited(hub, asked, { action: "catalog_manager.changed", subject: words.name }, async (tx) => {
    const changed = await changeCatalogManager(tx, id, { ...words, trusted, ownerId, sealed });
    if (!changed) throw noManager();
    return changed;
  });
}

export const forgetManager = (hub: Hub, asked: Asked, { id, name }: CatalogManager): Promise<void> =>
  audited(hub, asked, { action: "catalog_manager.removed", subject: name }, (tx) => removeCatalogManager(tx, id));

/** Somebody waits for it, and a catalog that is not there in this time would be no use either. */
const tryMs = 20_000;

/** It logs in and lists its catalog. */
async function mustAnswer(hub: Hub, place: Pick<CatalogManager, "id" | "url" | "trusted">, credentials: ManagerCredentials): Promise<void> {
  const signal = AbortSignal.any([hub.closing, AbortSignal.timeout(tryMs)]);
  const { status } = await hub.remotes.open(place, credentials).ask({ method: "GET", path: "/catalog", signal });
  if (status !== 200)
    throw new FaultError({ code: "remote_unreachable", message: `the catalog at ${place.url} answers with status ${status}` });
}

const none: ManagerCredentials = { username: "", password: "", apiKey: "" };

export async function credentialsOf({ db, sealer }: Hub, id: string): Promise<ManagerCredentials> {
  const sealed = await sealedManagerCredentials(db, id);
  return sealed ? managerSeal(sealer).open(id, sealed) : none;
}
