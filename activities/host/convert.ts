/**
 * The last part of a conversion: pushes what was unpacked into this host's cache.
 *
 * The one idea: a cached image is a bundle like any other, so it is pushed as one; it is kept from eviction meanwhile.
 */
import { rm } from "node:fs/promises";
import { FaultError } from "../../domain/errors.ts";
import type { ConvertActivities } from "../../workflows/catalog/import.ts";
import { journalOf, upload } from "./bundles.ts";
import type { HostContext } from "./context.ts";

export function convertActivities(context: HostContext): Pick<ConvertActivities, "uploadCached"> {
  const { attempts, cache, pins } = context;
  return {
    uploadCached: ({ operationId, step, digest, plan }) =>
      attempts.run(operationId, "upload", (attempt) =>
        pins.holding([digest], async () => {
          if (await cache.has(digest))
            return upload(context, { operationId, step, plan, path: cache.paths(digest).bundle, verify: false }, attempt);
          await rm(journalOf(context.journalFolder, operationId), { force: true });
          const message = `The image ${digest} left this host's cache before it was converted: import it again.`;
          throw new FaultError({ code: "store_object_missing", message, subject: digest });
        }),
      ),
  };
}
