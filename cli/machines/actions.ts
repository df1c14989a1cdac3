/** What is done to a machine by one request: start, stop, clone, configure and the like. */
import { z } from "zod";
import { MachineActionRequest } from "../../domain/machines/schema.ts";
import { pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import type { Action } from "../declare.ts";
import { seeThrough, waitingOf, type Started, type Waiting } from "../operations/start.ts";
import { usageFault } from "../problem.ts";
import { byteSize, given, milliseconds, wholeNumber } from "../values.ts";
import { Operation } from "../wire.ts";

/** Checks the action by the vocabulary before it is sent. */
export async function requestAction(
  client: Client,
  machine: string,
  action: Readonly<Record<string, unknown>>,
  { onFault }: Pick<Waiting, "onFault"> = {},
) {
  return client.send("POST", `${pathOf("machines", machine)}/actions`, Operation, {
    body: given(MachineActionRequest, { ...action, onFault }),
  });
}

interface Acting extends Pick<Started, "words" | "onState"> {
  readonly machine: string;
  readonly action: Readonly<Record<string, unknown>>;
  readonly options: unknown;
}

export async function act(context: Context, { machine, action, options, ...shown }: Acting): Promise<number> {
  const waiting = waitingOf(options);
  given(MachineActionRequest, action);
  const client = await context.hub();
  return seeThrough(context, client, { operation: await requestAction(client, machine, action, waiting), waiting, ...shown });
}

export const plainAction =
  (verb: "start" | "restart" | "suspend" | "resume" | "pause" | "reset"): Action =>
  (context, [machine = ""], options) =>
    act(context, { machine, action: { verb }, options });

const Stopping = z.object({ force: z.boolean().default(false), dropState: z.boolean().default(false), grace: milliseconds.optional() });

export async function stopMachine(context: Context, [machine = ""]: readonly string[], options: unknown): Promise<number> {
  const { force, dropState, grace } = given(Stopping, options);
  if (force && dropState) throw usageFault("Say either --force or --drop-state.", "drover machine stop");
  const mode = force ? "kill" : dropState ? "drop-state" : "graceful";
  return act(context, {
    machine,
    options,
    action: { verb: "stop", mode, graceSeconds: grace === undefined ? undefined : Math.ceil(grace / 1000) },
  });
}

export const renameMachine: Action = (context, [machine = "", name = ""], options) =>
  act(context, { machine, action: { verb: "rename", name }, options });

const Cloning = z.object({ linked: z.boolean().default(false) });

export async function cloneMachine(context: Context, [machine = "", name = ""]: readonly string[], options: unknown): Promise<number> {
  const { linked } = given(Cloning, options);
  return act(context, { machine, options, action: { verb: "clone", name, linked } });
}

const Configuring = z.object({
  cpus: wholeNumber.optional(),
  memory: byteSize.optional(),
  description: z.string().optional(),
  set: z.array(z.string()).default([]),
});

export async function configureMachine(context: Context, [machine = ""]: readonly string[], options: unknown): Promise<number> {
  const { cpus, memory, description, set } = given(Configuring, options);
  if (cpus === undefined && memory === undefined && description === undefined && set.length === 0)
    throw usageFault("Say what to change.", "drover machine configure");
  return act(context, {
    machine,
    options,
    action: { verb: "configure", vcpus: cpus, memoryBytes: memory, description, options: set.map(flagOf) },
  });
}

/** `flag=value`, or a flag alone; dashes in front are taken off. */
function flagOf(text: string): { flag: string; value?: string } {
  const at = text.indexOf("=");
  const flag = (at === -1 ? text : text.slice(0, at)).replace(/^--?/, "");
  return at === -1 ? { flag } : { flag, value: text.slice(at + 1) };
}
