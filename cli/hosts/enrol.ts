/**
 * `drover host token` at the hub, `drover host enrol` on the computer that becomes a host.
 *
 * The one idea: the token is good once and pins the hub's authority, so the line that is printed is all that has to be carried over. It comes by standard
 * input, since every user of a computer can read the arguments of its processes.
 */
import { text as textOf } from "node:stream/consumers";
import { z } from "zod";
import { NewEnrolmentToken } from "../../domain/hosts/schema.ts";
import type { Context } from "../context.ts";
import { ago } from "../output/format.ts";
import { usageFault } from "../problem.ts";
import { given, seconds } from "../values.ts";
import { EnrolmentToken } from "../wire.ts";

const Making = z.object({ label: z.array(z.string()).optional(), ttl: seconds.optional() });

export async function makeToken(context: Context, [hostName = ""]: readonly string[], options: unknown): Promise<void> {
  const { label, ttl } = given(Making, options);
  const body = given(NewEnrolmentToken, { hostName, labels: label, ttlSeconds: ttl });
  const made = await (await context.hub()).send("POST", "/hosts/tokens", EnrolmentToken, { body });
  const words = () =>
    `Run this on ${made.hostName} (it works once, and ends ${ago(made.expiresAt)}):\n\n  echo ${made.token} | drover host enrol ${made.url}\n  drover run host\n`;
  context.show(made, words);
}

const Enrolling = z.object({ replace: z.boolean().default(false), install: z.boolean().default(false), user: z.string().optional() });

export async function enrol(context: Context, [url = "", word]: readonly string[], options: unknown): Promise<void> {
  const { in: input } = context.streams;
  if (word === undefined && input.isTTY === true) throw usageFault("The token is missing: give it on standard input.", "drover host enrol");
  const token = word ?? (await textOf(input)).trim();
  const { replace, install, user } = given(Enrolling, options);
  const enrolled = await context.parts.enrol({ url, token, replace });
  const service = install ? await context.parts.service().install(user) : null;
  const words = () =>
    `This computer is the host ${enrolled.name} (${enrolled.hostId}).\nIts identity lies in ${enrolled.identityFile}; ${service ? `${service.path} keeps its worker running.` : "`drover run host` starts its work, `drover host install` keeps it running."}`;
  context.show(service ? { ...enrolled, service } : enrolled, words);
}
