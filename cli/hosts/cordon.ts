/** `drover host cordon|uncordon|drain`. */
import { z } from "zod";
import { drainPolicies } from "../../domain/hosts/rules.ts";
import { NewDrain } from "../../domain/hosts/schema.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { list } from "../output/format.ts";
import { given, seconds } from "../values.ts";
import { Host, Operation, type OperationDetail } from "../wire.ts";

export async function cordonHost(context: Context, [host = ""]: readonly string[]): Promise<void> {
  const changed = await (await context.hub()).send("POST", `${pathOf("hosts", host)}/cordon`, Host);
  context.show(changed, () => `${changed.name} takes no new machines; what runs there goes on.`);
}

export async function uncordonHost(context: Context, [host = ""]: readonly string[]): Promise<void> {
  const changed = await (await context.hub()).send("POST", `${pathOf("hosts", host)}/uncordon`, Host);
  const words = changed.cordon === null ? "takes new machines" : `is no longer cordoned, and still ${changed.cordon}`;
  context.show(changed, () => `${changed.name} ${words}.`);
}

const Draining = z.object({ machines: z.enum(drainPolicies).optional(), limit: seconds.optional() });

export async function drainHost(context: Context, [host = ""]: readonly string[], raw: unknown): Promise<number> {
  const { machines, limit } = given(Draining, raw);
  const waiting = waitingOf(raw);
  const body = given(NewDrain, { machines, limitSeconds: limit, onFault: waiting.onFault });
  const client = await context.hub();
  const operation = await client.send("POST", `${pathOf("hosts", host)}/drain`, Operation, { body });
  return seeThrough(context, client, { operation, waiting, words: drained });
}

const Outcome = z.object({ host: z.string(), machines: z.number(), left: z.array(z.string()), foreign: z.number() });

function drained({ result }: OperationDetail): string {
  const told = Outcome.safeParse(result);
  if (!told.success) return "The host is drained.";
  const { host, left, foreign } = told.data;
  const rest = left.length === 0 ? [] : [`There rest: ${list(left)}.`];
  const others =
    foreign === 0
      ? []
      : [`${foreign} machine${foreign === 1 ? "" : "s"} that Drover did not make still run${foreign === 1 ? "s" : ""} there.`];
  return [`${host} is drained and stays cordoned until \`drover host uncordon ${host}\`.`, ...rest, ...others].join("\n");
}
