/** What a store must let the hub do, so that images can be pushed, pulled and collected: asked one by one, answered in one line each. */
import { z } from "zod";

/** In the order in which they are tried. */
export const storeRights = ["own", "list", "write", "keep", "verify", "read", "range", "sign_read", "sign_write", "remove"] as const;
export type StoreRight = (typeof storeRights)[number];

export const rightMeanings: Readonly<Record<StoreRight, string>> = {
  own: "belongs to this hub",
  list: "lists objects",
  write: "takes an object",
  keep: "does not replace an object that is there",
  verify: "refuses bytes that changed on their way",
  read: "gives an object back, bit by bit",
  range: "gives a part of an object back",
  sign_read: "signs a request by which a host reads",
  sign_write: "signs a request by which a host writes",
  remove: "removes an object",
};

export const StoreTrial = z
  .object({
    right: z.enum(storeRights),
    state: z.enum(["passed", "failed", "skipped", "unneeded"]).meta({
      description:
        "`skipped`: cannot be asked since another failed; `unneeded`: the provider has none and the host gateway does it instead, or the store is read-only.",
    }),
    message: z.string(),
    tookMs: z.int().nonnegative(),
  })
  .meta({ id: "StoreTrial" });
export type StoreTrial = z.infer<typeof StoreTrial>;
