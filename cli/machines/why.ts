/** `drover machine why`: what keeps a machine from having a host. */
import type { Machine as MachineShape, Pending } from "../../domain/machines/schema.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { ago, list, time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { Machine } from "../wire.ts";

export async function whyMachine(context: Context, [machine = ""]: readonly string[]): Promise<void> {
  const client = await context.hub();
  const found = await client.get(pathOf("machines", machine), Machine);
  context.show({ id: found.id, name: found.name, pending: found.pending }, () => words(found));
}

const words = ({ name, hostId, pending }: MachineShape): string => {
  if (pending) return `${waits(name, pending)}\n\n${hostsOf(pending)}`;
  return hostId === null ? `${name} is about to be placed.` : `${name} does not wait: it has a host.`;
};

const waits = (name: string, { since, until, priority, ahead }: Pending): string =>
  facts([
    ["machine", name],
    ["waits", `for room on a host, since ${ago(new Date(since))}`],
    ["until", time(new Date(until))],
    ["priority", String(priority)],
    ["before it", ahead === 0 ? "none" : String(ahead)],
  ]);

const hostsOf = ({ hosts }: Pending): string =>
  table(
    hosts,
    [
      { title: "HOST", of: ({ host }) => host },
      { title: "LACKS", of: ({ lacks }) => list(lacks) },
    ],
    "There is room for it: it is about to be placed.",
  );
