/**
 * What the hub knows of a prefetch: which hosts it means, and the operation of each one's pull.
 *
 * The one idea: a pull that a prefetch begins is the same as one that somebody asked for, in the name of whoever asked for the prefetch.
 */
import { z } from "zod";
import { recordEvent } from "../../db/events.ts";
import type { Database } from "../../db/connect.ts";
import { listHosts } from "../../db/hosts.ts";
import { findImageById } from "../../db/images.ts";
import { findOperation, insertOperation, moveOperation } from "../../db/operations.ts";
import { imageName } from "../../domain/catalog/rules.ts";
import { unwrap } from "../../domain/errors.ts";
import { targetsOf } from "../../domain/hosts/selection.ts";
import type { PrefetchActivities } from "../../workflows/catalog/prefetch.ts";
import type { BeginActivities } from "../../workflows/catalog/pull.ts";
import { mustBeAllowed, Permitted } from "./permission.ts";
import { underWay } from "./under-way.ts";

const PrefetchInput = Permitted.extend({ hostIds: z.array(z.string()), labels: z.array(z.string()), all: z.boolean() });

export function prefetchActivities({ db }: { db: Database }): PrefetchActivities & BeginActivities {
  return {
    planPrefetch: ({ operationId }) =>
      db.transaction(async (tx) => {
        const { input } = await underWay(tx, operationId, PrefetchInput);
        const image = unwrap(await findImageById(tx, input.imageVersionId));
        mustBeAllowed(image, input);
        const chosen = targetsOf(await listHosts(tx), { ...input, architecture: image.architecture });
        const targets = chosen.map(({ id, name, cached }) => ({
          hostId: id,
          host: name,
          cached: cached.some(({ digest }) => digest === image.digest),
        }));
        return { image: imageName(image), targets };
      }),

    beginPull: ({ operationId, prefetchId, hostId, workflowId }) =>
      db.transaction(async (tx) => {
        const { operation, actorId, requestId, input } = await underWay(tx, prefetchId, Permitted);
        if ((await findOperation(tx, operationId)).ok) return;
        const { project, actor, onFault, image } = operation;
        const subject = operation.subject;
        const own = { id: operationId, verb: "pull", workflowId, hostId, machineId: null, sealed: null } as const;
        const { imageVersionId, holder } = input;
        const asked = { project, actor, actorId, requestId, onFault, image, subject };
        await insertOperation(tx, { ...own, ...asked, input: { imageVersionId, holder, prefetchId } });
        const body = { verb: "pull", subject, prefetchId };
        await recordEvent(tx, { type: "operation", name: "operation.pending", subjectId: operationId, operationId, project, body });
        await moveOperation(tx, operationId, ["pending"], "running");
      }),
  };
}
