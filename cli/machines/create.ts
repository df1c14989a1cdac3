/** `drover machine create|delete|expire`: the beginning and the end of a machine. */
import { z } from "zod";
import { profiles } from "../../domain/hosts/rules.ts";
import { NewMachine } from "../../domain/machines/schema.ts";
import { wantedImage } from "../catalog/pull.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { hostIdOf } from "../names.ts";
import { makeMany } from "./many.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { took } from "../operations/await.ts";
import { list, time } from "../output/format.ts";
import { usageFault } from "../problem.ts";
import { byteSize, given, integer, milliseconds, pairs, seconds, wholeNumber } from "../values.ts";
import { Machine, Operation, Provisioning, type OperationDetail } from "../wire.ts";

const Options = z.object({
  image: z.string().optional(),
  host: z.string().optional(),
  hostLabel: z.array(z.string()).optional(),
  cpus: wholeNumber.optional(),
  memory: byteSize.optional(),
  description: z.string().optional(),
  label: pairs,
  start: z.boolean(),
  tolerate: z.array(z.string()).optional(),
  apartFrom: pairs,
  profile: z.enum(profiles).optional(),
  ttl: seconds.optional(),
  waitForRoom: milliseconds.optional(),
  priority: integer.optional(),
  count: wholeNumber.optional(),
});

export async function createMachine(context: Context, [name = ""]: readonly string[], raw: unknown): Promise<number> {
  const { image, host, hostLabel, cpus, memory, label, ttl, waitForRoom, tolerate, ...same } = given(Options, raw);
  const waiting = waitingOf(raw);
  if (image === undefined) throw usageFault("Name the image with --image.", "drover machine create");
  const wanted = {
    name,
    image: wantedImage(image, undefined),
    hostLabels: hostLabel,
    vcpus: cpus,
    memoryBytes: memory,
    ...same,
    labels: label,
    ttlSeconds: ttl,
    waitSeconds: waitForRoom === undefined ? undefined : Math.ceil(waitForRoom / 1000),
    tolerates: tolerate,
  };
  const body = given(NewMachine, { ...wanted, onFault: waiting.onFault });

  const client = await context.hub();
  const hostId = host === undefined ? undefined : await hostIdOf(client, host);
  if (body.count !== undefined) return makeMany(context, client, { body: { ...body, hostId }, waiting });
  const { operation, machine } = await client.send("POST", "/machines", Provisioning, { body: { ...body, hostId } });
  // Address and place are in the machine's row only once the operation is done.
  let ready = machine;
  const onState = async ({ state }: OperationDetail) => {
    if (state === "done") ready = await client.get(pathOf("machines", machine.id), Machine);
  };
  const words = (detail: OperationDetail) =>
    `${ready.name} is ${ready.observed} after ${took(detail)}${ready.addresses.length === 0 ? "" : ` at ${list(ready.addresses)}`} (${ready.id}).`;
  return seeThrough(context, client, { operation, waiting, onState, words, value: (detail) => ({ operation: detail, machine: ready }) });
}

const Deleting = z.object({ force: z.boolean().default(false), keepFiles: z.boolean().default(false) });

export async function deleteMachine(context: Context, [machine = ""]: readonly string[], raw: unknown): Promise<number> {
  const { force, keepFiles } = given(Deleting, raw);
  if (force && keepFiles) throw usageFault("Say either --force or --keep-files.", "drover machine delete");
  const waiting = waitingOf(raw);
  const client = await context.hub();
  const query = { force, ...(keepFiles ? { keepBundle: true } : {}), onFault: waiting.onFault };
  const operation = await client.send("DELETE", pathOf("machines", machine), Operation, { query });
  return seeThrough(context, client, {
    operation,
    waiting,
    words: (detail) => `${detail.subject} is ${keepFiles ? "forgotten, with its files kept," : "retired"} after ${took(detail)}.`,
  });
}

export async function expireMachine(context: Context, [machine = "", when = ""]: readonly string[]): Promise<void> {
  const body = when === "never" ? { expiresAt: null } : { ttlSeconds: given(seconds, when) };
  const changed = await (await context.hub()).send("PATCH", pathOf("machines", machine), Machine, { body });
  const words = () =>
    changed.expiresAt ? `${changed.name} is retired at ${time(changed.expiresAt)}.` : `${changed.name} stays until somebody deletes it.`;
  context.show(changed, words);
}
