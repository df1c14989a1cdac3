/**
 * The id that an orchestrator gives to the job it asks for.
 *
 * The one idea: a service of the same contract that drives this hub as one of its hosts has made its job before it asks, and follows ours under that id. It
 * is a name that its giver alone sees and finds the job by, so nobody can take the place of somebody else's job; sent again, it means the same job.
 */
import type { Asked } from "../../control/start.ts";
import type { JobWords } from "../../db/jobs.ts";
import { hostHeader } from "../hosts/scope.ts";
import { refusal } from "../wire/errors.ts";
import type { Call } from "../wire/mount.ts";

const header = "X-ORCHESTRATOR-JOB-ID";

export const givenId = (text: string): string | null => (/^[0-9a-f]{64}$/i.test(text) ? text.toLowerCase() : null);

/** What is asked for is a job of these words, by the id that the request may give it. */
export function asJob({ c, asked, body }: Pick<Call<unknown>, "c" | "asked" | "body">, job: JobWords): Asked {
  const sent = c.req.header(header);
  if (sent === undefined || sent === "") return { ...asked, job };
  const id = givenId(sent);
  if (id === null) throw refusal(400, `Invalid request header: ${header} is no job id, which has 64 hexadecimal digits`);
  const request = { path: c.req.path, host: c.req.header(hostHeader) ?? "", body };
  return { ...asked, job, givenJobId: id, idempotency: { key: id, route: header, header, body: request } };
}
