/** `drover machine orphans|adopt`: machines that hosts report and that are not in the hub's rows. */
import { z } from "zod";
import { Adoption } from "../../domain/machines/schema.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { hostIdOf } from "../names.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { took } from "../operations/await.ts";
import { ago } from "../output/format.ts";
import { table } from "../output/table.ts";
import { given } from "../values.ts";
import { Operation, Unclaimed } from "../wire.ts";

const Filters = z.object({ host: z.string().optional(), foreign: z.boolean().default(false) });

export async function listOrphans(context: Context, _args: readonly string[], options: unknown): Promise<void> {
  const { host, foreign } = given(Filters, options);
  const client = await context.hub();
  const hostId = host === undefined ? undefined : await hostIdOf(client, host);
  const found = (await client.list("/unclaimed-machines", Unclaimed, { hostId })).filter(
    ({ standing }) => foreign || standing !== "foreign",
  );
  const words = () =>
    table(
      found,
      [
        { title: "ID", of: ({ id }) => id },
        { title: "NAME", of: ({ name }) => name },
        { title: "IS", of: ({ standing, copyOf }) => (copyOf === null ? standing : `${standing}, a copy`) },
        { title: "HOST", of: (one) => one.host },
        { title: "STATE", of: ({ state, unregistered }) => (unregistered ? "not registered" : state) },
        { title: "SINCE", of: ({ since }) => ago(since) },
        { title: "BUNDLE", of: ({ bundlePath }) => bundlePath },
      ],
      foreign ? "Every machine that the hosts report is the hub's." : "No orphans.",
    );
  context.show(found, words);
}

const Options = z.object({ host: z.string().optional(), name: z.string().optional() });

export async function adoptMachine(context: Context, [id = ""]: readonly string[], raw: unknown): Promise<number> {
  const { host, name } = given(Options, raw);
  const waiting = waitingOf(raw);
  const client = await context.hub();
  const hostId = host === undefined ? undefined : await hostIdOf(client, host);
  const body = given(Adoption, { hostId, name, onFault: waiting.onFault });
  const operation = await client.send("POST", `${pathOf("machines", id)}/adopt`, Operation, { body });
  return seeThrough(context, client, {
    operation,
    waiting,
    words: (detail) => `${detail.subject} is a machine of the hub after ${took(detail)} (${detail.machineId ?? id}).`,
  });
}
