/** One job as the wire shows it, with its steps and whoever asked for it. */
import type { z } from "zod";
import { findJob, type JobRow } from "../../db/jobs.ts";
import { listSteps } from "../../db/steps.ts";
import { askersOf } from "../../db/users.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { Hub } from "../ports.ts";
import { wireJob, type JobResponse } from "./wire.ts";

type Job = z.input<typeof JobResponse>;

export async function jobOf(hub: Pick<Hub, "db">, { id }: Pick<Operation, "id">): Promise<Job> {
  const job = await findJob(hub.db, id);
  if (!job) throw noJob(id);
  return jobIn(hub, job);
}

export async function jobIn({ db }: Pick<Hub, "db">, { operation, words }: JobRow): Promise<Job> {
  const [steps, askers] = await Promise.all([listSteps(db, operation.id), askersOf(db, [operation.id])]);
  return wireJob(operation, steps, askers.get(operation.id), words ?? undefined);
}

export const noJob = (id: string) => new FaultError({ code: "operation_not_found", message: `There is no job ${id}.` });
