/**
 * Machines of images that lie behind a catalog manager.
 *
 * The one idea: the other side is asked now which version is meant and where its bytes lie, with the caller's rights applied to what it says; the rest is an
 * operation, which knows the manager and no credentials.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { findHost } from "../../db/hosts.ts";
import { accessName } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { ToldArchive } from "../../domain/catalog/archives.ts";
import type { CatalogManager, RemoteImage } from "../../domain/catalog/managers.ts";
import { architectureOf, latest, normalise, type Architecture, type ImageKey } from "../../domain/catalog/rules.ts";
import { CatalogId, Version } from "../../domain/catalog/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import type { NewMachine } from "../../domain/machines/schema.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Call } from "../wire/mount.ts";
import { storeIn } from "./connection.ts";
import { jsonIn, seenBy, withoutPlaces } from "./remote-answers.ts";
import { asked as askThere, holderIn } from "./wire-through.ts";

const text = z
  .string()
  .nullish()
  .transform((word) => word ?? "");
const number = z
  .number()
  .nonnegative()
  .nullish()
  .transform((size) => Math.round(size ?? 0));
const Provider = z.object({ type: text, meta: z.record(z.string(), z.string()).nullish() });
const RemoteManifest = z.looseObject({
  id: text,
  catalog_id: text,
  version: text,
  architecture: text,
  description: text,
  type: text,
  tags: z.array(z.string()).nullish(),
  size: number,
  path: text,
  pack_filename: text,
  updated_at: text,
  digest: text,
  tainted: z.boolean().nullish(),
  revoked: z.boolean().nullish(),
  provider: Provider.nullish(),
});
type RemoteManifest = z.output<typeof RemoteManifest>;

export interface Wanted {
  readonly catalog_id: string;
  readonly version: string;
  readonly architecture: string;
}
type Asking = Pick<Call<unknown>, "c" | "actor" | "asked">;

const notPulled = (message: string) => new FaultError({ code: "invalid_request", message });

/** `manifest`: as the other side tells it, without where its bytes lie. */
export async function bringMachine(
  hub: Hub,
  call: Asking,
  manager: CatalogManager,
  wanted: Wanted,
  machine: NewMachine,
): Promise<{ operation: Operation; manifest: unknown }> {
  const host = machine.hostId === undefined ? null : unwrap(await findHost(hub.db, machine.hostId));
  const chosen = await choose(hub, call, manager, wanted, host?.facts?.architecture ?? null);
  const path = `/catalog/${[chosen.catalog_id, chosen.version, chosen.architecture].map(encodeURIComponent).join("/")}/download`;
  // Where its bytes lie is told to whoever says that it is a service of the same kind, and goes no further than this function. A hub hands us its own archive.
  const isHub = chosen.provider?.type === "drover";
  const headers: Record<string, string> = isHub ? {} : { "X-Internal-Api-Client": "true" };
  const answer = await askThere(hub, manager, call, { method: "get", path, headers });
  const told = RemoteManifest.safeParse(jsonIn(answer, manager.url));
  if (!told.success) throw notPulled("the other catalog answers no manifest");
  const key = keyHere(manager, chosen);
  const claim = claimOf(manager);
  const from = await placeOf(hub, call.actor, told.data);
  const archive = ToldArchive.parse({
    key: from.storeId === null ? `${key.catalogId}/${stampOf(chosen)}.pdpack` : from.packKey,
    kind: /macvm$/i.test(chosen.type) ? "macvm" : "pvm",
    logicalBytes: bytesOf(chosen),
    description: `${chosen.catalog_id}/${chosen.version} of ${manager.name}`.slice(0, 4096),
    requiredClaims: [claim],
  });
  const brought = {
    manager,
    key,
    archive,
    from: from.storeId === null ? { remotePath: archiveAt(chosen) } : { storeId: from.storeId },
    machine: { ...machine, image: key },
  };
  const actor = { ...call.actor, claims: [...call.actor.claims, claim] };
  const operation = unwrap(await hub.operations.bring(brought, { ...call.asked, actor }));
  return { operation, manifest: withoutPlaces(chosen) };
}

/** In the contract's words. */
export async function bringForWire(hub: Hub, call: Asking, manager: CatalogManager, wanted: Wanted, machine: NewMachine) {
  if (wanted.catalog_id === "") throw refusal(400, "Invalid request body: error 400: missing catalog id");
  return bringMachine(hub, call, manager, wanted, machine).catch((error: unknown) => {
    if (!(error instanceof FaultError)) throw error;
    const { code, message } = error.fault;
    if (code === "image_not_found") throw refusal(400, "Error pulling manifest: error 404: catalog manifest not found");
    throw code === "invalid_request" ? refusal(400, `Error pulling manifest: ${message}`) : error;
  });
}

async function choose(
  hub: Hub,
  call: Asking,
  manager: CatalogManager,
  wanted: Wanted,
  preferred: Architecture | null,
): Promise<RemoteManifest> {
  const answer = await askThere(hub, manager, call, { method: "get", path: `/catalog/${encodeURIComponent(wanted.catalog_id)}` });
  const seen = z.array(RemoteManifest).safeParse(seenBy(jsonIn(answer, manager.url), holderIn(call.actor)));
  const architecture = wanted.architecture === "" ? null : architectureOf(wanted.architecture);
  const fitting = meant(seen.data ?? [], wanted.version).filter(
    (one) => architecture === null || architectureOf(one.architecture) === architecture,
  );
  const [first, second] = fitting;
  const chosen = second ? fitting.find((one) => architectureOf(one.architecture) === preferred) : first;
  if (!first) throw new FaultError({ code: "image_not_found", message: `There is no ${wanted.catalog_id} of that version there.` });
  if (!chosen) throw notPulled("the version is there for several architectures: name one");
  if (chosen.revoked) throw new FaultError({ code: "image_revoked", message: `${chosen.catalog_id}/${chosen.version} is revoked there.` });
  if (chosen.tainted) throw new FaultError({ code: "image_tainted", message: `${chosen.catalog_id}/${chosen.version} is tainted there.` });
  return chosen;
}

/** The images there that the caller may see. */
export async function imagesBehind(hub: Hub, call: Pick<Asking, "c" | "actor">, manager: CatalogManager): Promise<RemoteImage[]> {
  const answer = await askThere(hub, manager, call, { method: "get", path: "/catalog" });
  const groups = z
    .array(z.record(z.string(), z.array(RemoteManifest)))
    .safeParse(seenBy(jsonIn(answer, manager.url), holderIn(call.actor)));
  const all = (groups.data ?? []).flatMap((group) => Object.values(group).flat());
  return all.map((one) => ({
    catalogId: one.catalog_id,
    version: one.version,
    architecture: architectureOf(one.architecture) ?? one.architecture,
    description: one.description,
    tags: one.tags ?? [],
    bytes: bytesOf(one),
    state: one.revoked ? "revoked" : one.tainted ? "tainted" : "usable",
    updatedAt: one.updated_at,
  }));
}

/** The version of that name, else those so tagged; for `latest` the tag comes first, and where nothing is called so, the newest. One per architecture. */
function meant(there: readonly RemoteManifest[], wanted: string): RemoteManifest[] {
  const word = normalise(wanted === "" ? latest : wanted);
  const named = there.filter(({ version }) => normalise(version) === word);
  const tagged = there.filter(({ tags }) => (tags ?? []).some((tag) => tag.toLowerCase() === word));
  const newest = there.toSorted((a, b) => b.updated_at.localeCompare(a.updated_at));
  const ordered = word === latest ? [tagged, named, newest] : [named, tagged];
  const found = ordered.find((list) => list.length > 0) ?? [];
  return [...Map.groupBy(found, ({ architecture }) => architecture).values()].flatMap((list) => list.slice(0, 1));
}

/** What an image of that catalog is called here: below a name of its manager, so that it is never taken for one of ours. */
export function catalogIdHere({ id, name }: CatalogManager, catalogId: string): string {
  const manager = `${normalise(name).slice(0, 40)}-${accessName(id).slice(0, 8).toLowerCase()}`;
  const kept = CatalogId.safeParse(normalise(`${manager}.${catalogId}`));
  if (kept.success) return kept.data;
  throw notPulled(`the image cannot be kept here under its name: ${kept.error.issues[0]?.message ?? ""}`);
}

function keyHere(manager: CatalogManager, { catalog_id, version, architecture }: RemoteManifest): ImageKey {
  const known = architectureOf(architecture);
  const kept = Version.safeParse(normalise(version || latest));
  if (known && kept.success) return { catalogId: catalogIdHere(manager, catalog_id), version: kept.data, architecture: known };
  throw notPulled("the other catalog names the version in a way that cannot be kept here");
}

/** Nobody holds it but super users, and whoever comes through the manager for as long as that takes. */
export const claimOf = ({ id }: CatalogManager): string => `CATALOG_MANAGER_${accessName(id)}`;

/** Changes with the content, where the other side tells it; else with its record. */
const stampOf = ({ id, digest, updated_at, size }: RemoteManifest): string =>
  createHash("sha256")
    .update(digest === "" ? [id, updated_at, size].join(" ") : digest)
    .digest("hex")
    .slice(0, 32);

/** Some tell megabytes: no machine has less than one. */
const bytesOf = ({ size }: RemoteManifest): number => (size > 0 && size < 1024 ** 2 ? size * 1024 ** 2 : size);

/** The route of another hub that makes an archive of an image. */
const archiveAt = ({ catalog_id, version, architecture }: RemoteManifest): string =>
  `/v2/images/${[normalise(catalog_id), version, architecture].map(encodeURIComponent).join("/")}/archive`;

/** Null: the other side is a hub, which hands over bytes and no places. */
async function placeOf(
  hub: Hub,
  actor: Actor,
  { provider, path, pack_filename }: RemoteManifest,
): Promise<{ storeId: null } | { storeId: string; packKey: string }> {
  const type = provider?.type ?? "";
  if (type === "drover") return { storeId: null };
  if (type === "" || type === "local-storage")
    throw notPulled("the image lies on the disk of the other service, which hands it to nobody; push it to a store there");
  const connection = [["provider", type], ...Object.entries(provider?.meta ?? {})].map((pair) => pair.join("=")).join(";");
  const named = storeIn(connection);
  if (!named || pack_filename === "") throw notPulled("the other service does not tell where the image lies");
  const store = unwrap(await hub.stores.add({ ...named, readOnly: "where refused" }, actor));
  const folder = path.replace(/^\/+|\/+$/g, "");
  return { storeId: store.id, packKey: folder === "" ? pack_filename : `${folder}/${pack_filename}` };
}
