/** One job as the wire shows it, with its steps and whoever asked for it. */
import type { z } from "zod";
import { findJob, type JobRow } from "../../db/jobs.ts";
import { listSteps } from "../../db/steps.ts";
import { askersOf } from "../../db/users.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { Hub } from "../ports.ts";
import { wireJob, type JobResponse } from "./wire.ts";

type Job = z.input<typeof JobResponse>;

export async function jobOf(hub: Pick<Hub, "db">, { id }: Pick<Operation, "id">, reader: Pick<Actor, "userId">): Promise<Job> {
  const job = await findJob(hub.db, id);
  if (!job) throw noJob(id);
  return named(await jobIn(hub, job), nameOf(job), reader);
}

export async function jobIn({ db }: Pick<Hub, "db">, { operation, words }: JobRow): Promise<Job> {
  const [steps, askers] = await Promise.all([listSteps(db, operation.id), askersOf(db, [operation.id])]);
  return wireJob(operation, steps, askers.get(operation.id), words ?? undefined);
}

/** Who gave a job a name of their own, and which. */
export interface JobName {
  readonly givenBy: string;
  readonly id: string;
}
export const nameOf = ({ actorId, givenId }: JobRow): JobName | null => (givenId === null ? null : { givenBy: actorId, id: givenId });

/** Under the name that its reader gave it; under ours for all others. */
export const named = <T extends object>(job: T, name: JobName | null, { userId }: Pick<Actor, "userId">): T =>
  name?.givenBy === userId ? { ...job, id: name.id } : job;

export const noJob = (id: string) => new FaultError({ code: "operation_not_found", message: `There is no job ${id}.` });
