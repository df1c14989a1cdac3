/**
 * Maintenance windows: when the hosts that they name, or that have their labels, take no new machines.
 *
 * The one idea: a window is told as people say it, days, a time of day, a length and a time zone; when it is open follows from that and is written nowhere.
 */
import { z } from "zod";
import { HostId, Uuid } from "../ids.ts";
import { weekdays } from "./windows.ts";

const Zone = z
  .string()
  .max(64)
  .refine(isZone, "zone is not the name of a time zone: give one such as Europe/Berlin or UTC")
  .meta({ description: "A name of the IANA time zone database, such as `Europe/Berlin`." });

function isZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

const wanted = z.object({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "name holds letters, digits, '.', '_' and '-' and starts with a letter or digit"),
  hostIds: z.array(HostId).max(1000).default([]),
  labels: z.array(z.string().min(1).max(128)).max(32).default([]),
  days: z
    .array(z.enum(weekdays))
    .min(1)
    .default([...weekdays])
    .meta({ description: "On which days it begins." }),
  startsAt: z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "startsAt is a time of day such as 02:30"),
  /** Two days see a weekend through; a host that is closed for longer is cordoned. */
  minutes: z.int().min(1).max(2880).meta({ description: "How long it lasts, whatever the clock does meanwhile." }),
  zone: Zone,
});

export const NewMaintenanceWindow = wanted
  .refine(({ hostIds, labels }) => hostIds.length + labels.length > 0, "Name hosts in hostIds, or labels of hosts in labels.")
  .meta({ id: "NewMaintenanceWindow" });
export type NewMaintenanceWindow = z.infer<typeof NewMaintenanceWindow>;

export const MaintenanceWindow = wanted
  .extend({ id: Uuid, createdBy: z.string(), createdAt: z.date(), openUntil: z.date().nullable(), opensNext: z.date() })
  .meta({ id: "MaintenanceWindow" });
export type MaintenanceWindow = z.infer<typeof MaintenanceWindow>;
