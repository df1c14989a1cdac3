/**
 * The wire's jobs: list, get, remove.
 *
 * The one idea: an operation is memory and stays; a job that is deleted is cancelled where it still runs, and shown no more.
 */
import { z } from "zod";
import { holds } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { findGivenJob, findJob, hideJobs, listJobs } from "../../db/jobs.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Mount } from "../wire/mount.ts";
import { givenId } from "./given-id.ts";
import { jobIn, jobOf, named, nameOf, noJob } from "./job.ts";
import { mayEndAll } from "./visible.ts";
import { JobResponse, operationIdOf } from "./wire.ts";

/** The wire has no pages; whoever wants more than the newest uses ours. */
const newest = 200;

const scopeOf = (actor: Actor, all: boolean) => ({ project: actor.project, ...(all ? {} : { actorId: actor.userId }) });
const seen = (actor: Actor) => scopeOf(actor, holds(actor, "JOB_MANAGER_LIST"));
const ended = (actor: Actor) => scopeOf(actor, mayEndAll(actor));

export function jobWireRoutes(hub: Hub, mount: Mount): void {
  const tag = "jobs";
  const needs = { claims: ["JOB_MANAGER_LIST", "JOB_MANAGER_LIST_OWN"], any: true } as const;
  async function found(id: string, actor: Actor, how: { toEnd?: boolean } = {}): Promise<Operation> {
    const own = givenId(id);
    const operationId = operationIdOf(id);
    const job =
      (own === null ? null : await findGivenJob(hub.db, { actorId: actor.userId, givenId: own })) ??
      (operationId === null ? null : await findJob(hub.db, operationId));
    if (!job || job.operation.project !== actor.project) throw noJob(id);
    if (job.actorId !== actor.userId && !holds(actor, "JOB_MANAGER_LIST")) throw refusal(403, "Forbidden to view this job");
    if (how.toEnd && job.actorId !== actor.userId && !mayEndAll(actor)) throw refusal(403, "Forbidden to delete this job");
    return job.operation;
  }

  mount("get", "/jobs", "List jobs, newest first", { tag, needs, status: 200, reply: z.array(JobResponse) }, async ({ actor }) => {
    const jobs = await listJobs(hub.db, seen(actor), newest);
    return Promise.all(jobs.map(async (job) => named(await jobIn(hub, job), nameOf(job), actor)));
  });
  mount("get", "/jobs/{id}", "Get a job", { tag, needs, status: 200, reply: JobResponse }, async ({ param, actor }) =>
    jobOf(hub, await found(param("id"), actor), actor),
  );
  mount("delete", "/jobs/cleanup", "Remove the jobs that have ended", { tag, needs, status: 200 }, ({ actor }) =>
    hideJobs(hub.db, ended(actor)),
  );
  mount(
    "delete",
    "/jobs/{id}",
    "Remove a job; one that still runs is cancelled",
    { tag, needs: { claims: ["JOB_MANAGER_DELETE", "JOB_MANAGER_LIST_OWN"], any: true }, status: 204 },
    async ({ param, actor, asked, c }) => {
      const operation = await found(param("id"), actor, { toEnd: true });
      if (!isSettled(operation.state)) unwrap(await hub.operations.cancel(operation.id, asked));
      await hideJobs(hub.db, ended(actor), operation.id);
      return c.body(null, 204);
    },
  );
}
