/**
 * The wire's jobs: list, get, and leave out of the list.
 *
 * The one idea: an operation is memory and stays; a job that its owner deletes is only cancelled when it still runs.
 */
import { z } from "zod";
import { holds } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { listOperations, readOperation, type OperationRow } from "../../db/operations.ts";
import { listSteps } from "../../db/steps.ts";
import { askersOf } from "../../db/users.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Mount } from "../wire/mount.ts";
import { JobResponse, operationIdOf, wireJob, type JobKind } from "./wire.ts";

/** The wire has no pages; whoever wants more than the newest uses ours. */
const newest = 200;

/** The job as the wire shows it, steps included. */
export async function jobOf(hub: Pick<Hub, "db">, operation: Operation, kind?: JobKind): Promise<z.input<typeof JobResponse>> {
  const owner = (await askersOf(hub.db, [operation.id])).get(operation.id);
  return wireJob(operation, await listSteps(hub.db, operation.id), owner, kind);
}

export function jobWireRoutes(hub: Hub, mount: Mount): void {
  const tag = "jobs";
  const needs = { claims: ["JOB_MANAGER_LIST", "JOB_MANAGER_LIST_OWN"], any: true } as const;

  async function found(id: string, actor: Actor): Promise<OperationRow> {
    const operationId = operationIdOf(id);
    if (operationId === null) throw new FaultError({ code: "operation_not_found", message: `There is no job ${id}.` });
    const row = unwrap(await readOperation(hub.db, operationId));
    if (row.actorId !== actor.userId && !holds(actor, "JOB_MANAGER_LIST")) throw refusal(403, "Forbidden to view this job");
    return row;
  }

  mount("get", "/jobs", "List jobs, newest first", { tag, needs, status: 200, reply: z.array(JobResponse) }, async ({ actor }) => {
    const own = holds(actor, "JOB_MANAGER_LIST") ? {} : { actorId: actor.userId };
    const { items } = await listOperations(hub.db, { project: actor.project, ...own }, { limit: newest });
    const owners = await askersOf(
      hub.db,
      items.map(({ id }) => id),
    );
    return Promise.all(items.map(async (operation) => wireJob(operation, await listSteps(hub.db, operation.id), owners.get(operation.id))));
  });
  mount("get", "/jobs/{id}", "Get a job", { tag, needs, status: 200, reply: JobResponse }, async ({ param, actor }) =>
    jobOf(hub, (await found(param("id"), actor)).operation),
  );
  mount(
    "delete",
    "/jobs/cleanup",
    "Accepted for clients that clean up; operations are kept for 90 days",
    { tag, needs, status: 200 },
    async () => undefined,
  );
  mount(
    "delete",
    "/jobs/{id}",
    "Cancel a job that still runs",
    { tag, needs: { claims: ["JOB_MANAGER_DELETE", "JOB_MANAGER_LIST_OWN"], any: true }, status: 204 },
    async ({ param, actor, asked, c }) => {
      const { operation } = await found(param("id"), actor);
      if (!isSettled(operation.state)) unwrap(await hub.operations.cancel(operation.id, asked));
      return c.body(null, 204);
    },
  );
}
