/**
 * The catalog: images and their versions, stores, and what a push or a pull asks for.
 *
 * The one idea: a version is a row that points to a tree by its digest; the bytes are shared and never renamed.
 */
import { z } from "zod";
import { HostId, Sha256, StoreId, Uuid } from "../ids.ts";
import { OnFault } from "../operations/schema.ts";
import { architectures, isNormal, latest, normalise } from "./rules.ts";
import { locationForms, storeKinds } from "./store-location.ts";

export const Architecture = z.enum(architectures).meta({ id: "Architecture" });

/** 128 characters: with version and architecture it still fits a file name of 255 bytes. */
const name = (what: string) =>
  z
    .string()
    .trim()
    .min(1, `${what} is empty`)
    .max(128, `${what} has more than 128 characters`)
    .regex(/^[\x21-\x7e ]+$/, `${what} may hold printable ASCII characters only`)
    .refine((word) => !/^\.+$/.test(normalise(word)), `${what} must not consist of dots`);
export const CatalogId = name("catalogId")
  .refine((word) => isNormal(word), "catalogId may hold letters, digits, '-', '_' and '.' only")
  .transform(normalise)
  .meta({ id: "CatalogId" });
export const Version = name("version")
  .refine((word) => isNormal(word), "version may hold letters, digits, '-', '_' and '.' only")
  .transform(normalise)
  .meta({ id: "Version" });

export const Minimum = z
  .object({ vcpus: z.int().positive(), memoryBytes: z.int().positive(), diskBytes: z.int().nonnegative() })
  .meta({ id: "Minimum", description: "What a machine of this image needs at least." });

/** How a machine made from the image shows that it is ready. */
export const Probe = z
  .discriminatedUnion("kind", [
    z.object({ kind: z.literal("tools") }),
    z.object({ kind: z.literal("tcp"), port: z.int().min(1).max(65535) }),
    z.object({ kind: z.literal("none") }),
  ])
  .meta({ id: "Probe", description: "`tools`: Parallels Tools accept a session (the default)." });
export type Probe = z.infer<typeof Probe>;

export const bundleKinds = ["pvm", "macvm"] as const;
export const BundleKind = z.enum(bundleKinds);

export const ImageVersion = z
  .object({
    id: Uuid,
    project: z.string(),
    catalogId: z.string(),
    version: z.string(),
    architecture: Architecture,
    kind: BundleKind,
    guestOs: z.string().nullable(),
    description: z.string(),
    tags: z.array(z.string()),
    digest: Sha256,
    generation: z
      .int()
      .nonnegative()
      .meta({ description: "Of its locations; 0 while its bytes lie in an archive of the Parallels DevOps service." }),
    storeId: StoreId,
    logicalBytes: z.int().nonnegative(),
    allocatedBytes: z.int().nonnegative(),
    storedBytes: z.int().nonnegative(),
    newBytes: z.int().nonnegative(),
    vcpus: z.int().positive().nullable(),
    memoryBytes: z.int().positive().nullable(),
    minimum: Minimum.nullable(),
    probe: Probe,
    requiredRoles: z.array(z.string()),
    requiredClaims: z.array(z.string()),
    taintedBy: z.string().nullable(),
    taintedAt: z.date().nullable(),
    untaintedBy: z.string().nullable(),
    revokedBy: z.string().nullable(),
    revokedAt: z.date().nullable(),
    damagedAt: z.date().nullable().meta({ description: "Since when its store is known not to hold all of it whole." }),
    damage: z.string().nullable(),
    downloads: z.int().nonnegative(),
    lastDownloadedAt: z.date().nullable(),
    lastDownloadedBy: z.string().nullable(),
    createdBy: z.string(),
    createdAt: z.date(),
    updatedAt: z.date(),
  })
  .meta({ id: "ImageVersion" });
export type ImageVersion = z.infer<typeof ImageVersion>;

export const NewImageVersion = z
  .object({
    path: z.string().min(1).meta({ description: "The bundle's folder, on the host or on the caller's computer." }),
    hostId: HostId.nullable().default(null).meta({ description: "The host that has the bundle; null when the caller has it." }),
    catalogId: CatalogId,
    version: Version.default(latest),
    architecture: Architecture.optional(),
    description: z.string().max(4096).default(""),
    tags: z.array(z.string().min(1).max(128)).max(64).default([]),
    requiredRoles: z.array(z.string().min(1)).max(64).default([]),
    requiredClaims: z.array(z.string().min(1)).max(64).default([]),
    minimum: Minimum.nullable().default(null),
    probe: Probe.default({ kind: "tools" }),
    storeId: StoreId.optional(),
    replace: z.boolean().default(false).meta({ description: "Point an existing version to other content." }),
    verify: z.boolean().default(false).meta({ description: "Read every file, also those that nothing touched since the last push." }),
    onFault: OnFault.default("park"),
  })
  .meta({ id: "NewImageVersion" });
export type NewImageVersion = z.infer<typeof NewImageVersion>;

export const ImageReference = z
  .object({ catalogId: CatalogId, version: Version.optional(), architecture: Architecture.optional() })
  .meta({ id: "ImageReference", description: "Without a version: the one tagged `latest`, else the one of that name." });
export type ImageReference = z.infer<typeof ImageReference>;

export const NewPull = z
  .object({ image: ImageReference, hostId: HostId, onFault: OnFault.default("park") })
  .meta({ id: "NewPull", description: "Brings an image into a host's cache." });
export type NewPull = z.infer<typeof NewPull>;

/** Slower than this no image arrives while anybody waits; more at once than this no store takes from one host. */
export const StoreLimits = {
  maxBytesPerSecond: z
    .int()
    .min(65_536)
    .nullable()
    .meta({ description: "What all transfers with it together may take; null for all that it gives." }),
  maxRequests: z
    .int()
    .min(1)
    .max(1000)
    .nullable()
    .meta({ description: "How many requests all transfers together may have under way; null for as many as they like." }),
};

export const Store = z
  .object({
    id: StoreId,
    project: z.string(),
    name: z.string(),
    kind: z.enum(storeKinds),
    location: z.string().meta({ description: `Without credentials: ${locationForms}.` }),
    isDefault: z.boolean(),
    state: z.enum(["ready", "denied", "unavailable"]),
    readOnly: z.boolean().meta({ description: "Nothing is ever written to it, and no right to write is needed." }),
    ...StoreLimits,
    createdAt: z.date(),
  })
  .meta({ id: "Store" });
export type Store = z.infer<typeof Store>;

/** What a host knows of a bundle on its disk. */
export const BundleFacts = z
  .object({
    path: z.string(),
    kind: BundleKind,
    name: z.string(),
    guestOs: z.string().nullable(),
    architecture: Architecture,
    vcpus: z.int().positive().nullable(),
    memoryBytes: z.int().positive().nullable(),
    logicalBytes: z.int().nonnegative(),
    allocatedBytes: z.int().nonnegative(),
    machineId: Uuid.nullable(),
  })
  .meta({ id: "BundleFacts" });
export type BundleFacts = z.infer<typeof BundleFacts>;
