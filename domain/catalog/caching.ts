/**
 * What hosts keep ready: changes of a cache, prefetches, and the policies that start them.
 *
 * The one idea: an image is brought to hosts before somebody waits for it, and goes when its room is wanted; people say only what must be there and what may not.
 */
import { z } from "zod";
import { HostId, OperationId, Sha256, Uuid } from "../ids.ts";
import { OnFault } from "../operations/schema.ts";
import { ImageReference } from "./schema.ts";

/** What one host has in its cache, with the versions that this is. */
export const CacheEntry = z
  .object({
    hostId: HostId,
    host: z.string(),
    digest: Sha256,
    images: z.array(z.string()).meta({ description: "catalogId/version/architecture of each version that is this content." }),
    bytes: z.int().nonnegative().meta({ description: "On disk, as if it shared nothing." }),
    lastUsedAt: z.date(),
    pinned: z.boolean().meta({ description: "By hand: it is not evicted." }),
    used: z.boolean().meta({ description: "By an operation when the host last reported." }),
  })
  .meta({ id: "CacheEntry" });
export type CacheEntry = z.infer<typeof CacheEntry>;

export const CachePrune = z
  .object({
    images: z.array(ImageReference).max(100).optional().meta({ description: "Only these; without them, every image." }),
    unusedForSeconds: z.int().nonnegative().default(0),
    dryRun: z.boolean().default(false).meta({ description: "Only tell what would go." }),
    onFault: OnFault.default("park"),
  })
  .meta({ id: "CachePrune", description: "What operations use and what is pinned stays." });
export type CachePrune = z.infer<typeof CachePrune>;

export const CachePin = ImageReference.extend({ onFault: OnFault.default("park") }).meta({ id: "CachePin" });
export type CachePin = z.infer<typeof CachePin>;

/** Which hosts: named ones, those with any of these labels, or all. */
const Selection = {
  hostIds: z.array(HostId).max(1000).default([]),
  labels: z.array(z.string().min(1).max(128)).max(32).default([]),
  all: z.boolean().default(false),
};
const selects = ({ hostIds, labels, all }: { hostIds: readonly string[]; labels: readonly string[]; all: boolean }): boolean =>
  [hostIds.length > 0, labels.length > 0, all].filter(Boolean).length === 1;
const selectsOne = { message: "say which hosts: hostIds, labels or all, one of them", path: ["hostIds"] };

/** Eight at once fill a store's line; with peer ports on, more take no more from it. */
const AtOnce = z.int().min(1).max(100).default(8).meta({ description: "How many hosts fetch at the same time." });

export const NewPrefetch = z
  .object({ image: ImageReference, ...Selection, atOnce: AtOnce, onFault: OnFault.default("fail") })
  .refine(selects, selectsOne)
  .meta({ id: "NewPrefetch", description: "Brings an image into the caches of several hosts." });
export type NewPrefetch = z.infer<typeof NewPrefetch>;

/** An hour's image of a hundred hosts is work enough for a store; a shorter schedule is what `publish` is for. */
const leastSeconds = 60;

export const NewPrefetchPolicy = z
  .object({
    name: z.string().trim().min(1).max(63),
    image: ImageReference,
    ...Selection,
    on: z.enum(["publish", "schedule"]).meta({ description: "When a version of the image was published, or again and again." }),
    everySeconds: z.int().min(leastSeconds).optional().meta({ description: "Of a schedule." }),
    atOnce: AtOnce,
  })
  .refine(selects, selectsOne)
  .refine(({ on, everySeconds }) => (on === "schedule") === (everySeconds !== undefined), {
    message: "belongs to a schedule, and a schedule needs it",
    path: ["everySeconds"],
  })
  .meta({ id: "NewPrefetchPolicy" });
export type NewPrefetchPolicy = z.infer<typeof NewPrefetchPolicy>;

export const PrefetchPolicy = z
  .object({
    id: Uuid,
    project: z.string(),
    name: z.string(),
    image: ImageReference,
    hostIds: z.array(HostId),
    labels: z.array(z.string()),
    all: z.boolean(),
    on: z.enum(["publish", "schedule"]),
    everySeconds: z.int().nullable(),
    atOnce: z.int(),
    createdBy: z.string(),
    createdAt: z.date(),
    lastStartedAt: z.date().nullable(),
    lastOperationId: OperationId.nullable(),
    problem: z.string().nullable().meta({ description: "Why it could not start the last time." }),
  })
  .meta({ id: "PrefetchPolicy" });
export type PrefetchPolicy = z.infer<typeof PrefetchPolicy>;
