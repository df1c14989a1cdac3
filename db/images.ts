/**
 * Catalog images: versions that point to trees.
 *
 * The one idea: a version becomes visible, or points elsewhere, in one write under its catalog id's lock, which also moves the tag `latest`.
 */
import { and, arrayContains, asc, desc, eq, gt, inArray, isNull, ne, sql } from "drizzle-orm";
import { defaultProject } from "../domain/access/rules.ts";
import { imageName, latest, type Architecture, type ImageKey } from "../domain/catalog/rules.ts";
import { ImageVersion } from "../domain/catalog/schema.ts";
import { ok, refuse, unwrap, type Result } from "../domain/errors.ts";
import { Uuid } from "../domain/ids.ts";
import { archivedGeneration } from "./archives.ts";
import type { Database } from "./connect.ts";
import { heldAny } from "./guarded.ts";
import { imageSubject, mustBeFree } from "./holds.ts";
import { afterCursor, newestFirst, pageOf, placeOf, type Page, type PageAsk } from "./pages.ts";
import { mustFit } from "./projects.ts";
import { imageVersions as versions, machines } from "./schema.ts";

export async function findImage(db: Database, project: string, key: ImageKey): Promise<Result<ImageVersion>> {
  const [row] = await db
    .select()
    .from(versions)
    .where(and(eq(versions.project, project), ...keyed(key)));
  return row ? ok(ImageVersion.parse(row)) : noImage(imageName(key));
}

export async function findImageById(db: Database, id: string): Promise<Result<ImageVersion>> {
  const [row] = Uuid.safeParse(id).success ? await db.select().from(versions).where(eq(versions.id, id)) : [];
  return row ? ok(ImageVersion.parse(row)) : noImage(id);
}

/** The versions that point to any of these trees. */
export async function imagesOfDigests(db: Database, project: string, digests: readonly string[]): Promise<ImageVersion[]> {
  if (digests.length === 0) return [];
  const rows = await db
    .select()
    .from(versions)
    .where(and(eq(versions.project, project), inArray(versions.digest, [...digests])))
    .orderBy(desc(versions.updatedAt));
  return rows.map((row) => ImageVersion.parse(row));
}

/** One version for each of these trees in a store, to name it by. */
export async function imagesOfStore(db: Database, storeId: string, digests: readonly string[]): Promise<ImageVersion[]> {
  if (digests.length === 0) return [];
  const rows = await db
    .selectDistinctOn([versions.digest])
    .from(versions)
    .where(and(eq(versions.storeId, storeId), inArray(versions.digest, [...digests])))
    .orderBy(versions.digest, desc(versions.updatedAt));
  return rows.map((row) => ImageVersion.parse(row));
}

export interface Reference {
  readonly catalogId: string;
  readonly version?: string | undefined;
  readonly architecture?: Architecture | undefined;
}

/** The versions that a reference means, one per architecture: the one of that name, else the one so tagged; without a version, or for `latest`, the tag comes first. */
export async function resolveImages(
  db: Database,
  project: string,
  { catalogId, version = latest, architecture }: Reference,
): Promise<ImageVersion[]> {
  const means =
    version === latest
      ? sql`(${arrayContains(versions.tags, [latest])} or ${versions.version} = ${latest})`
      : sql`(${versions.version} = ${version} or exists (select 1 from unnest(${versions.tags}) tag where lower(tag) = ${version}))`;
  const wanted = and(
    eq(versions.project, project),
    eq(versions.catalogId, catalogId),
    means,
    architecture === undefined ? undefined : eq(versions.architecture, architecture),
  );
  const first = version === latest ? arrayContains(versions.tags, [latest]) : eq(versions.version, version);
  const rows = await db
    .selectDistinctOn([versions.architecture])
    .from(versions)
    .where(wanted)
    .orderBy(asc(versions.architecture), sql`${first} desc`, desc(versions.createdAt));
  return rows.map((row) => ImageVersion.parse(row));
}

export interface ImageFilter extends Partial<ImageKey> {
  readonly project?: string | undefined;
  readonly tag?: string | undefined;
  /** Leaves out what its reader may not see; without it, all is shown. */
  readonly visibleTo?: { readonly roles: readonly string[]; readonly claims: readonly string[] } | undefined;
}

export async function listImages(db: Database, filter: ImageFilter, { cursor, limit }: PageAsk): Promise<Page<ImageVersion>> {
  const { project, catalogId, version, architecture, tag, visibleTo } = filter;
  const wanted = and(
    afterCursor(versions, cursor),
    project === undefined ? undefined : eq(versions.project, project),
    catalogId === undefined ? undefined : eq(versions.catalogId, catalogId),
    version === undefined ? undefined : eq(versions.version, version),
    architecture === undefined ? undefined : eq(versions.architecture, architecture),
    tag === undefined ? undefined : arrayContains(versions.tags, [tag]),
    visibleTo === undefined
      ? undefined
      : and(heldAny(versions.requiredRoles, visibleTo.roles), heldAny(versions.requiredClaims, visibleTo.claims)),
  );
  const rows = await db
    .select({ row: versions, at: placeOf(versions) })
    .from(versions)
    .where(wanted)
    .orderBy(newestFirst(versions))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => ImageVersion.parse(row));
}

/** Keeps others from writing versions of this catalog id until the transaction ends. */
export async function lockCatalogId(tx: Database, project: string, catalogId: string): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`catalog/${project}/${catalogId}`}, 0))`);
}

type Row = typeof versions.$inferInsert;
export type NewVersionRow = Omit<Row, "createdAt" | "updatedAt" | "downloads" | "lastDownloadedAt" | "lastDownloadedBy">;

/** A new version, which takes the tag `latest`, and those that it is given, from the others of its catalog id and architecture. */
export async function insertVersion(tx: Database, row: NewVersionRow): Promise<ImageVersion> {
  await mustFit(tx, row.project ?? defaultProject, { storageBytes: row.storedBytes });
  const tags = [...new Set([...(row.tags ?? []), latest])];
  const [made] = await tx
    .insert(versions)
    .values({ ...row, tags })
    .returning();
  const version = ImageVersion.parse(made);
  await takeTags(tx, version, tags);
  return version;
}

/** A tag points to one version per catalog id and architecture: its siblings lose what it gets, in whatever case they write it. */
async function takeTags(tx: Database, { id, project, catalogId, architecture }: ImageVersion, tags: readonly string[]): Promise<void> {
  const taken = sql`${sql.param(tags.map((tag) => tag.toLowerCase()))}::text[]`;
  const kept = sql`array(select tag from unnest(${versions.tags}) with ordinality as t(tag, place) where lower(tag) <> all(${taken}) order by place)`;
  const siblings = and(
    eq(versions.project, project),
    eq(versions.catalogId, catalogId),
    eq(versions.architecture, architecture),
    ne(versions.id, id),
    sql`exists (select 1 from unnest(${versions.tags}) tag where lower(tag) = any(${taken}))`,
  );
  await tx.update(versions).set({ tags: kept }).where(siblings);
}

/** Gives a version tags, taken from its siblings, and takes others from it. */
export async function changeTags(
  tx: Database,
  image: ImageVersion,
  { add = [], remove = [] }: { add?: readonly string[]; remove?: readonly string[] },
): Promise<ImageVersion> {
  await lockCatalogId(tx, image.project, image.catalogId);
  const { tags } = unwrap(await findImageById(tx, image.id));
  const gone = new Set([...add, ...remove].map((tag) => tag.toLowerCase()));
  return changeVersion(tx, image.id, { tags: [...tags.filter((tag) => !gone.has(tag.toLowerCase())), ...new Set(add)] });
}

/** Points a version to other content, or gives it other words. Its tag `latest`, taint and counts stay. */
export async function changeVersion(tx: Database, id: string, changes: Partial<NewVersionRow>): Promise<ImageVersion> {
  if (changes.storedBytes !== undefined) {
    const { project, storedBytes } = unwrap(await findImageById(tx, id));
    const more = changes.storedBytes - storedBytes;
    if (more > 0) await mustFit(tx, project, { storageBytes: more });
  }
  const [row] = await tx
    .update(versions)
    .set({ ...changes, updatedAt: sql`now()` })
    .where(eq(versions.id, id))
    .returning();
  const version = ImageVersion.parse(row);
  if (changes.tags) await takeTags(tx, version, changes.tags);
  return version;
}

const marks = {
  taint: (by: string) => ({ taintedBy: by, taintedAt: sql`now()`, untaintedBy: null }),
  untaint: (by: string) => ({ taintedBy: null, taintedAt: null, untaintedBy: by }),
  revoke: (by: string) => ({ revokedBy: by, revokedAt: sql`now()` }),
};
/** Marks one version; a revoked one stays revoked by whoever did it first. */
export async function markVersion(db: Database, id: string, mark: keyof typeof marks, by: string): Promise<Result<ImageVersion>> {
  const found = await findImageById(db, id);
  if (!found.ok || (mark === "revoke" && found.value.revokedAt)) return found;
  await db
    .update(versions)
    .set({ ...marks[mark](by), updatedAt: sql`now()` })
    .where(eq(versions.id, id));
  return findImageById(db, id);
}

/**
 * `false` when there was no such version any more; `image_busy` while a push writes it. Machines made from it stay, pulls under way end with what they were
 * granted; its bytes are swept later.
 */
export async function deleteVersion(tx: Database, image: ImageVersion): Promise<boolean> {
  await mustBeFree(tx, imageSubject(image.project, imageName(image)));
  const [gone] = await tx.delete(versions).where(eq(versions.id, image.id)).returning();
  if (gone?.tags.includes(latest)) await passLatestOn(tx, image);
  return gone !== undefined;
}

/** `latest` goes back to the newest version that is left and may be had. */
async function passLatestOn(tx: Database, { project, catalogId, architecture }: ImageVersion): Promise<void> {
  const siblings = and(eq(versions.project, project), eq(versions.catalogId, catalogId), eq(versions.architecture, architecture));
  const [newest] = await tx
    .select({ id: versions.id, tags: versions.tags })
    .from(versions)
    .where(and(siblings, isNull(versions.revokedAt)))
    .orderBy(desc(versions.createdAt))
    .limit(1);
  if (newest) await changeVersion(tx, newest.id, { tags: [...newest.tags, latest] });
}

export async function countDownload(tx: Database, id: string, by: string, times = 1): Promise<void> {
  await tx
    .update(versions)
    .set({ downloads: sql`${versions.downloads} + ${times}::int`, lastDownloadedAt: sql`now()`, lastDownloadedBy: by })
    .where(eq(versions.id, id));
}

export interface TreeRef {
  readonly digest: string;
  readonly generation: number;
}

/** The newest trees of a catalog id in one store: what a push of the next version shares most with. */
export async function newestTrees(
  db: Database,
  { project, catalogId, storeId, limit }: { project: string; catalogId: string; storeId: string; limit: number },
): Promise<TreeRef[]> {
  const key = and(eq(versions.project, project), eq(versions.catalogId, catalogId), eq(versions.storeId, storeId));
  const wanted = and(key, gt(versions.generation, archivedGeneration));
  return db
    .select({ digest: versions.digest, generation: versions.generation })
    .from(versions)
    .where(wanted)
    .orderBy(desc(versions.updatedAt))
    .limit(limit);
}

/** The tree that the machine in this bundle, one of this host's, was made from, where it lies in that store: a grant covers no more. */
export async function treeOfMachine(
  db: Database,
  { hostId, path, machineId, storeId }: { hostId: string; path: string; machineId: string | null; storeId: string },
): Promise<TreeRef[]> {
  const here = sql`${machines.bundlePath} = ${path}`;
  const found = and(eq(machines.hostId, hostId), machineId === null ? here : sql`(${machines.id} = ${machineId} or ${here})`);
  return db
    .select({ digest: versions.digest, generation: versions.generation })
    .from(machines)
    .innerJoin(
      versions,
      and(eq(versions.digest, machines.digest), eq(versions.storeId, storeId), gt(versions.generation, archivedGeneration)),
    )
    .where(found)
    .limit(1);
}

const keyed = ({ catalogId, version, architecture }: ImageKey) => [
  eq(versions.catalogId, catalogId),
  eq(versions.version, version),
  eq(versions.architecture, architecture),
];
const noImage = (name: string): Result<never> => refuse({ code: "image_not_found", message: `There is no image ${name}.`, subject: name });
