/** `drover maintenance list|add|remove`: when hosts take no new machines. */
import { z } from "zod";
import { MaintenanceWindow as WindowShape, NewMaintenanceWindow } from "../../domain/hosts/maintenance.ts";
import { weekdays } from "../../domain/hosts/windows.ts";
import { Nothing, pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { hostIdOf } from "../names.ts";
import { list, time } from "../output/format.ts";
import { table } from "../output/table.ts";
import { given, seconds } from "../values.ts";
import { fromJson } from "../wire.ts";

const MaintenanceWindow = fromJson(WindowShape);

export async function listWindows(context: Context): Promise<void> {
  const client = await context.hub();
  const found = await client.list("/maintenance-windows", MaintenanceWindow);
  const hostsOf = ({ hostIds, labels }: WindowShape) => list([...labels, ...(hostIds.length === 0 ? [] : [`${hostIds.length} named`])]);
  const words = () =>
    table(
      found,
      [
        { title: "WINDOW", of: ({ name }) => name },
        { title: "HOSTS", of: hostsOf },
        { title: "BEGINS", of: ({ days, startsAt, zone }) => `${days.length === 7 ? "daily" : list(days)} ${startsAt} ${zone}` },
        { title: "LASTS", of: ({ minutes }) => `${minutes} min` },
        { title: "OPEN UNTIL", of: ({ openUntil }) => (openUntil ? time(openUntil) : undefined) },
        { title: "OPENS NEXT", of: ({ opensNext }) => time(opensNext) },
      ],
      "No host has a maintenance window.",
    );
  context.show(found, words);
}

const Adding = z.object({
  host: z.array(z.string()).default([]),
  label: z.array(z.string()).default([]),
  day: z.array(z.enum(weekdays)).optional(),
  at: z.string(),
  for: seconds,
  zone: z.string().default(() => Intl.DateTimeFormat().resolvedOptions().timeZone),
});

export async function addWindow(context: Context, [name = ""]: readonly string[], raw: unknown): Promise<void> {
  const { host, label: labels, day: days, at: startsAt, for: lengthSeconds, zone } = given(Adding, raw);
  const client = await context.hub();
  const hostIds = await Promise.all(host.map((one) => hostIdOf(client, one)));
  const body = given(NewMaintenanceWindow, { name, hostIds, labels, days, startsAt, minutes: Math.ceil(lengthSeconds / 60), zone });
  const made = await client.send("POST", "/maintenance-windows", MaintenanceWindow, { body });
  const when = made.openUntil ? `is open until ${time(made.openUntil)}` : `opens at ${time(made.opensNext)}`;
  context.show(made, () => `${made.name} ${when}; its hosts take no new machines then.`);
}

export async function removeWindow(context: Context, [name = ""]: readonly string[]): Promise<void> {
  await (await context.hub()).send("DELETE", pathOf("maintenance-windows", name), Nothing);
  context.show({ removed: name }, () => `${name} is no maintenance window any more.`);
}
