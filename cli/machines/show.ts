/** `drover machine list|show`. */
import { z } from "zod";
import { MachineState, type Machine as MachineShape } from "../../domain/machines/schema.ts";
import { pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { ago, bytes, labels, list, time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { given, wholeNumber } from "../values.ts";
import { Host, Machine } from "../wire.ts";

const Filters = z.object({
  name: z.string().optional(),
  host: z.string().optional(),
  state: MachineState.optional(),
  image: z.string().optional(),
  limit: wholeNumber.optional(),
});

export async function listMachines(context: Context, _args: readonly string[], options: unknown): Promise<void> {
  const { name, host, state, image, limit } = given(Filters, options);
  const client = await context.hub();
  const hosts = await hostNames(client, context.json && host === undefined);
  const hostId = host === undefined ? undefined : ([...hosts].find(([id, known]) => id === host || known === host)?.[0] ?? host);
  const found = await client.list("/machines", Machine, { name, hostId, state, image }, limit);
  const words = () =>
    table(
      found,
      [
        { title: "MACHINE", of: (machine) => machine.name },
        { title: "STATE", of: stateOf },
        { title: "HOST", of: (machine) => hostOf(machine, hosts) },
        { title: "IMAGE", of: (machine) => machine.image },
        { title: "CPU", of: ({ vcpus }) => vcpus, right: true },
        { title: "MEMORY", of: ({ memoryBytes }) => bytes(memoryBytes), right: true },
        { title: "ADDRESS", of: ({ addresses }) => addresses[0] },
        { title: "EXPIRES", of: ({ expiresAt }) => ago(expiresAt) },
      ],
      "No machines.",
    );
  context.show(found, words);
}

export async function showMachine(context: Context, [machine = ""]: readonly string[]): Promise<void> {
  const client = await context.hub();
  const found = await client.get(pathOf("machines", machine), Machine);
  const hosts = await hostNames(client, context.json);
  context.show(found, () => describe(found, hosts));
}

/** Names are for people: scripts get the ids that machines carry. Whoever may not list hosts sees ids too. */
async function hostNames(client: Client, unwanted: boolean): Promise<ReadonlyMap<string, string>> {
  const hosts = unwanted ? [] : await client.list("/hosts", Host).catch(() => []);
  return new Map(hosts.map(({ id, name }) => [id, name]));
}
const hostOf = ({ hostId }: MachineShape, hosts: ReadonlyMap<string, string>): string =>
  hostId === null ? "" : (hosts.get(hostId) ?? hostId);

/** Both facts where they differ. */
const reached: Readonly<Record<string, string>> = {
  running: "running",
  stopped: "stopped",
  suspended: "suspended",
  paused: "paused",
  absent: "absent",
};
const stateOf = ({ desired, observed }: MachineShape): string =>
  reached[observed] === desired || !(observed in reached) ? observed : `${observed}, wanted ${desired}`;

function describe(machine: MachineShape, hosts: ReadonlyMap<string, string>): string {
  return facts([
    ["machine", machine.name],
    ["id", machine.id],
    ["state", stateOf(machine)],
    ["seen", ago(machine.observedAt)],
    ...machine.drift.map(({ message, remedy }): [string, string] => ["differs", `${message} ${remedy}`]),
    ["host", hostOf(machine, hosts)],
    ["waits", machine.pending === null ? "" : `for room on a host; \`drover machine why ${machine.name}\` tells more`],
    ["image", machine.image],
    ["guest", machine.guestOs],
    ["size", `${machine.vcpus} vCPU, ${bytes(machine.memoryBytes)} memory, ${bytes(machine.diskBytes)} disk`],
    ["addresses", list(machine.addresses)],
    ["MAC", machine.macAddress],
    ["bundle", machine.bundlePath],
    ["description", machine.description],
    ["labels", labels(machine.labels)],
    ["owner", machine.owner],
    ["made", `${time(machine.createdAt)} from ${machine.origin}`],
    ["expires", time(machine.expiresAt)],
  ]);
}
