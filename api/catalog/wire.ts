/**
 * Image versions as the wire's catalog manifests.
 *
 * The one idea: one version has two shapes there, that of lists and that of edits, and both are made here from the same row. Where the bytes lie is told
 * by kind only: no place, no credentials.
 */
import { z } from "zod";
import { architectureOf, isNormal } from "../../domain/catalog/rules.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { refusal } from "../wire/errors.ts";
import { present } from "../wire/present.ts";

const text = z.string().default("");
const listOfWords = z.array(z.string()).default([]);
const mebibyte = 1024 ** 2;

const MinimumSpecRequirement = z.object({ cpu: z.int().default(0), memory: z.int().default(0), disk: z.int().default(0) });
export const CatalogManifest = z
  .object({
    name: z.string(),
    id: z.string().optional(),
    catalog_id: z.string().optional(),
    description: z.string().optional(),
    architecture: z.string().optional(),
    version: z.string().optional(),
    type: z.string().optional(),
    tags: z.array(z.string()).optional(),
    size: z.int().optional(),
    path: z.string().optional(),
    pack_filename: z.string().optional(),
    metadata_filename: z.string().optional(),
    provider: z.record(z.string(), z.unknown()).optional(),
    created_at: z.string().optional(),
    updated_at: z.string().optional(),
    required_claims: z.array(z.string()).optional(),
    required_roles: z.array(z.string()).optional(),
    last_downloaded_at: z.string().optional(),
    last_downloaded_user: z.string().optional(),
    is_compressed: z.boolean().optional(),
    download_count: z.int().optional(),
    tainted: z.boolean().optional(),
    tainted_by: z.string().optional(),
    tainted_at: z.string().optional(),
    untainted_by: z.string().optional(),
    revoked: z.boolean().optional(),
    revoked_at: z.string().optional(),
    revoked_by: z.string().optional(),
    pack_contents: z.array(z.record(z.string(), z.unknown())).optional(),
    pack_size: z.int().optional(),
    minimum_requirements: MinimumSpecRequirement.optional(),
    digest: z.string().optional().meta({ description: "Of its content: another hub tells by it whether it has the same." }),
  })
  .meta({ id: "CatalogManifest" });
export const CatalogManifestRecord = z
  .looseObject({ id: z.string(), catalog_id: z.string(), version: z.string(), architecture: z.string() })
  .meta({ id: "CatalogManifestRecord" });
export const GroupedCatalog = z.array(z.record(z.string(), z.array(CatalogManifest))).meta({ id: "GroupedCatalog" });

export const PushCatalogManifestRequest = z
  .object({
    local_path: text,
    catalog_id: text,
    description: text,
    version: text,
    architecture: text,
    connection: text,
    compress_level: text,
    required_roles: listOfWords,
    required_claims: listOfWords,
    tags: listOfWords,
    minimum_requirements: MinimumSpecRequirement.optional(),
  })
  .meta({ id: "PushCatalogManifestRequest" });
export type PushCatalogManifestRequest = z.output<typeof PushCatalogManifestRequest>;
export const PullCatalogManifestRequest = z
  .object({
    catalog_id: text,
    version: text,
    architecture: text,
    owner: text,
    machine_name: text,
    path: text,
    connection: text,
    start_after_pull: z.boolean().default(false),
    client: text,
  })
  .meta({ id: "PullCatalogManifestRequest" });
export type PullCatalogManifestRequest = z.output<typeof PullCatalogManifestRequest>;
export const PullCatalogManifestResponse = z
  .object({
    id: z.string().optional(),
    machine_id: z.string().optional(),
    local_path: z.string().optional(),
    machine_name: z.string().optional(),
    manifest: CatalogManifest.optional(),
  })
  .meta({ id: "PullCatalogManifestResponse" });
export const CatalogManifestPatch = z
  .object({ required_roles: listOfWords, required_claims: listOfWords, tags: listOfWords })
  .meta({ id: "VirtualMachineCatalogManifestPatch" });
export const UpdateCatalogManifestMetadataRequest = z
  .object({
    description: z.string().optional(),
    required_roles: z.array(z.string()).optional(),
    required_claims: z.array(z.string()).optional(),
    tags: z.array(z.string()).optional(),
  })
  .meta({ id: "UpdateCatalogManifestMetadataRequest" });

/** What the contract calls a version, and its files. */
export const nameOf = ({ catalogId, architecture, version }: ImageVersion): string => `${catalogId}-${architecture}-${version}`;
const time = (at: Date | null): string => at?.toISOString() ?? "";
const provider = { type: "drover" };
const minimumOf = ({ minimum }: ImageVersion) =>
  minimum
    ? { cpu: minimum.vcpus, memory: Math.floor(minimum.memoryBytes / mebibyte), disk: Math.floor(minimum.diskBytes / mebibyte) }
    : null;

export function wireManifest(image: ImageVersion): z.input<typeof CatalogManifest> {
  const name = nameOf(image);
  return {
    name,
    id: image.id,
    catalog_id: image.catalogId.toUpperCase(),
    architecture: image.architecture,
    version: image.version,
    type: image.kind,
    provider,
    created_at: time(image.createdAt),
    updated_at: time(image.updatedAt),
    ...present({
      description: image.description,
      tags: image.tags,
      size: image.logicalBytes,
      path: `/${image.catalogId}`,
      pack_filename: `${name}.pdpack`,
      metadata_filename: `${name}.meta`,
      required_claims: image.requiredClaims,
      required_roles: image.requiredRoles,
      last_downloaded_at: time(image.lastDownloadedAt),
      last_downloaded_user: image.lastDownloadedBy,
      is_compressed: true,
      download_count: image.downloads,
      tainted: image.taintedAt !== null,
      tainted_by: image.taintedBy,
      tainted_at: time(image.taintedAt),
      untainted_by: image.untaintedBy,
      revoked: image.revokedAt !== null,
      revoked_at: time(image.revokedAt),
      revoked_by: image.revokedBy,
      pack_contents: [`${name}.meta`, `${name}.pdpack`].map((file) => ({ name: file, path: `/${image.catalogId}` })),
      pack_size: image.storedBytes,
      minimum_requirements: minimumOf(image),
      digest: image.digest,
    }),
  };
}

/** What edits answer: other names for the same files, and empty values written out. */
export function wireRecord(image: ImageVersion): Record<string, unknown> {
  const name = nameOf(image);
  return {
    id: image.id,
    catalog_id: image.catalogId.toUpperCase(),
    name,
    version: image.version,
    architecture: image.architecture,
    description: image.description,
    path: `/${image.catalogId}`,
    pack_path: `${name}.pdpack`,
    metadata_path: `${name}.meta`,
    type: image.kind,
    provider: { ...provider, host: "", port: "", user: "", password: "", api_key: "", meta: {} },
    size: image.logicalBytes,
    required_roles: image.requiredRoles,
    required_claims: image.requiredClaims,
    tags: image.tags,
    created_at: time(image.createdAt),
    updated_at: time(image.updatedAt),
    last_downloaded_at: time(image.lastDownloadedAt),
    last_downloaded_user: image.lastDownloadedBy ?? "",
    is_compressed: true,
    pack_relative_path: "",
    download_count: image.downloads,
    virtual_machine_contents: [],
    pack_contents: [],
    pack_size: image.storedBytes,
    ...present({ minimum_requirements: minimumOf(image) }),
    tainted: image.taintedAt !== null,
    tainted_by: image.taintedBy ?? "",
    untainted_by: image.untaintedBy ?? "",
    tainted_at: time(image.taintedAt),
    revoked: image.revokedAt !== null,
    revoked_by: image.revokedBy ?? "",
    revoked_at: time(image.revokedAt),
  };
}

/** Groups of one key each, the catalog id with the newest change first. */
export function grouped(images: readonly ImageVersion[]): z.input<typeof GroupedCatalog> {
  const newest = images.toSorted((a, b) => b.updatedAt.getTime() - a.updatedAt.getTime());
  const byId = Map.groupBy(newest, ({ catalogId }) => catalogId.toUpperCase());
  return [...byId].map(([catalogId, versions]) => ({ [catalogId]: versions.map(wireManifest) }));
}

const levels = new Set(["", "best_speed", "balanced", "best_compression", "no_compression", "default"]);

/** The contract's rules for a push; what is unknown is refused and not ignored. */
export function checkPush(body: PushCatalogManifestRequest): void {
  const lacking = (words: string) => refusal(400, `Invalid request body: error 400: ${words}`);
  if (body.local_path === "") throw lacking("missing local path");
  if (body.catalog_id === "") throw lacking("missing catalog id");
  if (body.version !== "" && !isNormal(body.version)) throw lacking("version contains invalid characters");
  if (body.architecture !== "" && architectureOf(body.architecture) === null) throw lacking("invalid architecture");
  if (!levels.has(body.compress_level))
    throw lacking("compress_level is one of best_speed, balanced, best_compression, no_compression, default");
}

export const minimumFrom = (minimum: PushCatalogManifestRequest["minimum_requirements"]) =>
  minimum && minimum.cpu > 0
    ? { vcpus: minimum.cpu, memoryBytes: Math.max(1, minimum.memory * mebibyte), diskBytes: minimum.disk * mebibyte }
    : null;
