/**
 * The care for images and stores as people ask for it: changes of a version, retention, collection, checks.
 *
 * The one idea: each is asked for in the same words by the API, the command line and the hub's own schedules.
 */
import { z } from "zod";
import { OnFault } from "../operations/schema.ts";
import { CatalogId, Minimum } from "./schema.ts";

export const Tag = z
  .string()
  .trim()
  .regex(/^[\w.-]{1,128}$/, "a tag may hold letters, digits, '-', '_' and '.' only, 128 at most")
  .meta({ id: "Tag" });
const words = z.array(z.string().trim().min(1).max(128)).max(64);

export const ImageChange = z
  .object({
    description: z.string().max(4096).optional(),
    requiredRoles: words.optional(),
    requiredClaims: words.optional(),
    minimum: Minimum.nullable().optional(),
  })
  .meta({ id: "ImageChange", description: "What is left out stays as it is." });
export type ImageChange = z.infer<typeof ImageChange>;

const count = (most: number) => z.int().min(0).max(most).nullable().default(null);
export const RetentionWish = z
  .object({
    keepNewest: count(100_000).meta({ description: "So many of the newest versions stay, per architecture." }),
    keepTagged: z.boolean().default(true),
    keepPulledDays: count(36_500).meta({ description: "Versions that were pulled, or made, within so many days stay." }),
  })
  .meta({ id: "RetentionWish", description: "A version stays when any part of the rule speaks for it." });
export type RetentionWish = z.infer<typeof RetentionWish>;

export const RetentionRule = RetentionWish.extend({
  catalogId: z.string().nullable().meta({ description: "Null: for all catalog ids that have no rule of their own." }),
  createdBy: z.string(),
  updatedAt: z.date(),
}).meta({ id: "RetentionRule" });
export type RetentionRule = z.infer<typeof RetentionRule>;

export const RetentionVerdict = z
  .object({ image: z.string(), keep: z.boolean(), why: z.string(), storedBytes: z.int().nonnegative() })
  .meta({ id: "RetentionVerdict" });
export type RetentionVerdict = z.infer<typeof RetentionVerdict>;

/** The word for the rule without a catalog id, where a path or a command needs one. */
export const everyCatalogId = "*";
export const RetentionSubject = z.union([z.literal(everyCatalogId).transform(() => null), CatalogId]);

export const Collection = z
  .object({
    dryRun: z.boolean().default(false).meta({ description: "Only tell what would be freed." }),
    onFault: OnFault.default("park"),
  })
  .meta({ id: "Collection" });
export type Collection = z.infer<typeof Collection>;

export const StoreCheck = z
  .object({
    readData: z.number().min(0).max(1).default(0).meta({ description: "The share of packs whose content is read: 0 none, 1 all." }),
    onFault: OnFault.default("park"),
  })
  .meta({ id: "StoreCheck" });
export type StoreCheck = z.infer<typeof StoreCheck>;

export const Scrub = z
  .object({
    share: z.number().gt(0).max(1).optional().meta({ description: "The share of the store that is read; the configured one without it." }),
    onFault: OnFault.default("park"),
  })
  .meta({ id: "Scrub" });
export type Scrub = z.infer<typeof Scrub>;

export const RetentionRun = z.object({ onFault: OnFault.default("park") }).meta({ id: "RetentionRun" });

/** What a check or a scrub found wrong with one object of a store. */
export const Finding = z
  .object({
    key: z.string(),
    problem: z.string(),
    content: z.boolean().meta({ description: "Whether only reading content shows it." }),
    digests: z.array(z.string()).meta({ description: "The trees that need what is broken of it." }),
  })
  .meta({ id: "Finding" });
export type Finding = z.infer<typeof Finding>;
