/**
 * Images of the Parallels DevOps service: how they are listed, imported and written back.
 *
 * The one idea: an imported version is a version like any other; only its bytes lie in an archive until a host has unpacked it or a conversion brought them over.
 */
import { z } from "zod";
import { HostId, StoreId } from "../ids.ts";
import { OnFault } from "../operations/schema.ts";
import { latest } from "./rules.ts";
import { Architecture, BundleKind, CatalogId, Version } from "./schema.ts";

const key = z.string().min(1).max(1000);
const listOfWords = z.array(z.string().min(1).max(128)).max(64).default([]);

/** One manifest in a store, as a list shows it. */
export const StoredArchive = z
  .object({
    manifestKey: z.string(),
    catalogId: z.string().nullable(),
    version: z.string().nullable(),
    architecture: Architecture.nullable(),
    kind: BundleKind.nullable(),
    logicalBytes: z.int().nonnegative().nullable(),
    packBytes: z.int().nonnegative().nullable().meta({ description: "Of the archive; null where there is none." }),
    tags: z.array(z.string()),
    imported: z.boolean().meta({ description: "Whether a version of this name is in the catalog." }),
    problem: z.string().nullable().meta({ description: "Why it cannot be imported." }),
  })
  .meta({ id: "StoredArchive", description: "An image of the Parallels DevOps service in a store." });
export type StoredArchive = z.infer<typeof StoredArchive>;

/** For an archive that has no manifest: what that service would have written. */
export const ToldArchive = z
  .object({
    key,
    kind: BundleKind.default("pvm"),
    logicalBytes: z.int().nonnegative().default(0).meta({ description: "About what its files have together; 0 where nobody knows." }),
    description: z.string().max(4096).default(""),
    tags: listOfWords,
    requiredRoles: listOfWords,
    requiredClaims: listOfWords,
  })
  .meta({ id: "ToldArchive" });
export type ToldArchive = z.infer<typeof ToldArchive>;

export const NewImport = z
  .object({
    storeId: StoreId.meta({ description: "The store that holds the archive." }),
    catalogId: CatalogId,
    version: Version.default(latest),
    architecture: Architecture,
    archive: ToldArchive.nullable().default(null).meta({ description: "Null: its manifest tells all of it." }),
    replace: z.boolean().default(false).meta({ description: "Point an existing version to this archive." }),
    convert: z.object({ hostId: HostId, storeId: StoreId.optional() }).nullable().default(null).meta({
      description: "The host that converts it to Drover's format, and the store that its bytes go to. Null: it stays an archive.",
    }),
    onFault: OnFault.default("park"),
  })
  .meta({ id: "NewImport", description: "Brings an image of the Parallels DevOps service into the catalog." });
export type NewImport = z.infer<typeof NewImport>;

export const NewExport = z
  .object({
    storeId: StoreId.meta({ description: "The store that the archive is written to." }),
    compress: z.boolean().default(true),
    replace: z.boolean().default(false).meta({ description: "Write over an archive of the same name." }),
    onFault: OnFault.default("park"),
  })
  .meta({ id: "NewExport", description: "Writes an image as the Parallels DevOps service keeps it." });
export type NewExport = z.infer<typeof NewExport>;

/** What an archive turned out to be, once a host has unpacked it. */
export interface Unpacked {
  readonly digest: string;
  readonly logicalBytes: number;
  readonly allocatedBytes: number;
  readonly guestOs: string | null;
  readonly vcpus: number | null;
  readonly memoryBytes: number | null;
}
