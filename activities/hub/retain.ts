/** Deletes versions that no retention rule keeps: judged in the transaction that deletes them, so that a tag or a pull of the last moment still counts. */
import { z } from "zod";
import { recordAudit } from "../../db/audit.ts";
import type { Database } from "../../db/connect.ts";
import { recordEvent } from "../../db/events.ts";
import { deleteVersion, lockCatalogId } from "../../db/images.ts";
import { judgeVersions } from "../../db/retention-rules.ts";
import { imageName } from "../../domain/catalog/rules.ts";
import { FaultError } from "../../domain/errors.ts";
import type { RetainActivities } from "../../workflows/catalog/retain.ts";
import { underWay } from "./under-way.ts";

export function retainActivities({ db }: { db: Database }): RetainActivities {
  return {
    deleteUnkept: async ({ operationId }) => {
      const { operation, requestId } = await db.transaction((tx) => underWay(tx, operationId, z.unknown()));
      const { project, actor } = operation;
      const deleted: string[] = [];
      const busy: string[] = [];
      const due = (await judgeVersions(db, project)).filter(({ keep }) => !keep);
      for (const catalogId of new Set(due.map(({ version }) => version.catalogId))) {
        await db.transaction(async (tx) => {
          await underWay(tx, operationId, z.unknown());
          await lockCatalogId(tx, project, catalogId);
          for (const { version, keep, why } of await judgeVersions(tx, project, catalogId)) {
            if (keep) continue;
            const image = imageName(version);
            try {
              await tx.transaction((inner) => deleteVersion(inner, version));
            } catch (error) {
              if (!(error instanceof FaultError) || error.fault.code !== "image_busy") throw error;
              busy.push(image);
              continue;
            }
            const { id: subjectId, requiredRoles, requiredClaims } = version;
            const body = { image, why, guard: { requiredRoles, requiredClaims } };
            await recordEvent(tx, { type: "image", name: "image.deleted", subjectId, operationId, project, body });
            await recordAudit(tx, { actor, action: "image.deleted", subject: image, outcome: "done", operationId, requestId });
            deleted.push(image);
          }
        });
      }
      return { deleted, busy };
    },
  };
}
