/**
 * The manifest (`.meta`) that the Parallels DevOps service writes beside each archive (`.pdpack`): read into our words, and written as it writes them.
 *
 * The one idea: identity comes from what the manifest says, place only from where it was found, since catalogs are moved; and a size is in bytes only where the
 * manifest shows that a push measured it.
 */
import { z } from "zod";
import { architectureOf, type Architecture } from "../../domain/catalog/rules.ts";
import { CatalogId, Version } from "../../domain/catalog/schema.ts";
import { ok, refuse, type Result } from "../../domain/errors.ts";

const words = z
  .array(z.string())
  .nullish()
  .transform((list) => list ?? []);
const text = z
  .string()
  .nullish()
  .transform((word) => word ?? "");
const number = z.number().nonnegative().nullish();

/** The fields that mean something to us; a manifest has more, and which of them are there depends on the release that wrote it. */
const Manifest = z.object({
  catalog_id: z.string(),
  version: text,
  architecture: z.string(),
  description: text,
  type: text,
  tags: words,
  required_roles: words,
  required_claims: words,
  pack_path: text,
  size: number,
  compressed_checksum: text,
  virtual_machine_contents: z.array(z.unknown()).nullish(),
  minimum_requirements: z.object({ cpu: number, memory: number, disk: number }).nullish(),
  tainted: z.boolean().nullish(),
  tainted_by: text,
  tainted_at: text,
  untainted_by: text,
  revoked: z.boolean().nullish(),
  revoked_by: text,
  revoked_at: text,
  created_at: text,
});
type Manifest = z.output<typeof Manifest>;

export interface ArchiveMark {
  readonly by: string | null;
  readonly at: Date;
}

/** An image of the Parallels DevOps service, as its manifest tells it. */
export interface ArchivedImage {
  readonly catalogId: string;
  readonly version: string;
  readonly architecture: Architecture;
  readonly description: string;
  readonly kind: "pvm" | "macvm";
  readonly tags: readonly string[];
  readonly requiredRoles: readonly string[];
  readonly requiredClaims: readonly string[];
  readonly minimum: { readonly vcpus: number; readonly memoryBytes: number; readonly diskBytes: number } | null;
  /** Where the archive lies: beside its manifest. */
  readonly packKey: string;
  /** Of the archive, where the manifest tells one: an upload in parts leaves another kind of mark, which says nothing about the bytes. */
  readonly md5: string | null;
  /** Of all files. `exact`: a push measured it; otherwise somebody told it, in megabytes. */
  readonly logicalBytes: number;
  readonly exact: boolean;
  readonly tainted: ArchiveMark | null;
  readonly untaintedBy: string | null;
  readonly revoked: ArchiveMark | null;
  readonly createdAt: Date | null;
}

const megabyte = 1024 * 1024;

/** What that service calls the files of a version. */
export const archiveName = ({ catalogId, version, architecture }: Pick<ArchivedImage, "catalogId" | "version" | "architecture">): string =>
  `${catalogId}-${architecture}-${version}`;
export const manifestKeyOf = (key: Parameters<typeof archiveName>[0]): string => `${key.catalogId}/${archiveName(key)}.meta`;

/** Reads the manifest that was found at `key`. */
export function readManifest(bytes: Uint8Array, key: string): Result<ArchivedImage> {
  const json = parsed(bytes);
  if (json === undefined) return invalid(key, "it is not JSON");
  const manifest = Manifest.safeParse(json);
  if (!manifest.success) return invalid(key, told(manifest.error));
  const { data } = manifest;
  const catalogId = CatalogId.safeParse(data.catalog_id);
  if (!catalogId.success) return invalid(key, `catalog_id "${data.catalog_id.slice(0, 200)}": ${told(catalogId.error)}`);
  const version = Version.safeParse(data.version || "latest");
  if (!version.success) return invalid(key, `version "${data.version.slice(0, 200)}": ${told(version.error)}`);
  const architecture = architectureOf(data.architecture);
  if (!architecture) return invalid(key, `architecture "${data.architecture.slice(0, 64)}" is neither arm64 nor x86_64`);
  const name = { catalogId: catalogId.data, version: version.data, architecture };
  const pack = data.pack_path || `${archiveName(name)}.pdpack`;
  if (pack.includes("/") || pack === "." || pack === "..") return invalid(key, `pack_path "${pack.slice(0, 200)}" names no file beside it`);
  return ok({ ...name, ...factsOf(data), packKey: `${key.slice(0, key.lastIndexOf("/") + 1)}${pack}` });
}

function factsOf(data: Manifest) {
  const exact = (data.virtual_machine_contents ?? []).length > 0;
  const size = data.size ?? 0;
  return {
    description: data.description.slice(0, 4096),
    kind: kindOf(data.type),
    tags: data.tags.filter((tag) => tag !== "" && tag.length <= 128).slice(0, 64),
    requiredRoles: data.required_roles.filter((role) => role !== ""),
    requiredClaims: data.required_claims.filter((claim) => claim !== ""),
    minimum: minimumOf(data),
    md5: /^[0-9a-f]{32}$/i.test(data.compressed_checksum) ? data.compressed_checksum.toLowerCase() : null,
    logicalBytes: Math.round(exact ? size : size * megabyte),
    exact,
    tainted: data.tainted === true ? markOf(data.tainted_by, data.tainted_at) : null,
    untaintedBy: data.untainted_by || null,
    revoked: data.revoked === true ? markOf(data.revoked_by, data.revoked_at) : null,
    createdAt: timeOf(data.created_at),
  };
}

const kindOf = (type: string): "pvm" | "macvm" => (/^\.?macvm$/i.test(type.trim()) ? "macvm" : "pvm");
const markOf = (by: string, at: string): ArchiveMark => ({ by: by || null, at: timeOf(at) ?? new Date(0) });

function timeOf(at: string): Date | null {
  const time = new Date(at);
  return at === "" || Number.isNaN(time.getTime()) || time.getTime() <= 0 ? null : time;
}

/** In megabytes there; a minimum without processors or memory is none. */
function minimumOf({ minimum_requirements: minimum }: Manifest): ArchivedImage["minimum"] {
  const [vcpus, memory, disk] = [minimum?.cpu ?? 0, minimum?.memory ?? 0, minimum?.disk ?? 0].map(Math.round);
  if (!vcpus || !memory) return null;
  return { vcpus, memoryBytes: memory * megabyte, diskBytes: (disk ?? 0) * megabyte };
}

export interface ManifestContent {
  readonly path: string;
  readonly kind: "file" | "folder";
  readonly bytes: number;
  readonly mtimeMs: number;
}
/** What a manifest of ours tells besides the image itself. */
export interface WrittenArchive {
  readonly id: string;
  readonly compressed: boolean;
  readonly packBytes: number;
  readonly md5: string;
  readonly contents: readonly ManifestContent[];
  /** When the version was made, and now. */
  readonly createdAt: Date;
  readonly writtenAt: Date;
}
type Described = Pick<
  ArchivedImage,
  "catalogId" | "version" | "architecture" | "description" | "kind" | "tags" | "requiredRoles" | "requiredClaims" | "minimum"
>;

/** Writes the manifest of an archive as that service does: its names, its order, two spaces. */
export function writeManifest(image: Described, archive: WrittenArchive): Buffer {
  const name = archiveName(image);
  const { minimum } = image;
  const [pack, meta, folder] = [`${name}.pdpack`, `${name}.meta`, `/${image.catalogId}`];
  const writtenAt = archive.writtenAt.toISOString();
  const packed = (file: string, hash: string) => ({ ...item(file, folder, writtenAt), hash });
  const logicalBytes = archive.contents.reduce((sum, { bytes }) => sum + bytes, 0);
  const manifest = {
    id: archive.id,
    catalog_id: image.catalogId,
    description: image.description,
    version: image.version,
    name,
    architecture: image.architecture,
    path: folder,
    pack_path: pack,
    metadata_path: meta,
    type: image.kind,
    provider: null,
    size: logicalBytes,
    required_roles: listOf(image.requiredRoles),
    required_claims: listOf(image.requiredClaims),
    tags: listOf(image.tags),
    created_at: archive.createdAt.toISOString(),
    updated_at: writtenAt,
    last_downloaded_at: "",
    last_downloaded_user: "",
    is_compressed: archive.compressed,
    ...(archive.compressed ? { compress_level: compressLevel } : {}),
    pack_relative_path: "",
    download_count: 0,
    compressed_checksum: archive.md5,
    compressed_size: archive.packBytes,
    compressed_ratio: savedPercent(archive.packBytes, logicalBytes),
    virtual_machine_contents: archive.contents.map(contentItem),
    pack_contents: [packed(meta, ""), packed(pack, archive.md5)],
    pack_size: archive.packBytes,
    ...(minimum ? { minimum_requirements: minimumIn(minimum) } : {}),
    tainted: false,
    tainted_by: "",
    tainted_at: "",
    untainted_by: "",
    revoked: false,
    revoked_at: "",
    revoked_by: "",
  };
  return Buffer.from(JSON.stringify(manifest, null, 2));
}

/** zlib's own middle: that service calls it "balanced", and reads any. */
export const compressLevel = 5;

/** Go writes an empty list as null. */
const listOf = (list: readonly string[]): readonly string[] | null => (list.length === 0 ? null : list);
const item = (name: string, path: string, at: string) => ({
  is_dir: false,
  name,
  path,
  hash: "",
  size: 0,
  created_at: at,
  updated_at: at,
  deleted_at: "",
});
const savedPercent = (packBytes: number, bytes: number): number => (bytes === 0 ? 0 : Math.round((1 - packBytes / bytes) * 10_000) / 100);
const minimumIn = ({ vcpus, memoryBytes, diskBytes }: NonNullable<ArchivedImage["minimum"]>) => ({
  cpu: vcpus,
  memory: Math.ceil(memoryBytes / megabyte),
  disk: Math.ceil(diskBytes / megabyte),
});

function contentItem({ path, kind, bytes, mtimeMs }: ManifestContent) {
  const slash = path.lastIndexOf("/");
  const at = kind === "folder" ? "" : new Date(mtimeMs).toISOString();
  return { ...item(path.slice(slash + 1), `/${path.slice(0, Math.max(slash, 0))}`, at), is_dir: kind === "folder", size: bytes };
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

function told(error: z.ZodError): string {
  const [issue] = error.issues;
  return `${issue?.path.join(".") || "it"}: ${issue?.message ?? "wrong"}`;
}

const invalid = (key: string, problem: string) =>
  refuse({ code: "archive_invalid", message: `The manifest ${key} cannot be read: ${problem}.`, subject: key });
