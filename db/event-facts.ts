/**
 * What the rows say of the things that events tell of, so that it can be judged who may be told.
 *
 * The one idea: facts are read when an event is told and not when it happened, so who lost a right learns nothing of what came before either.
 */
import { inArray } from "drizzle-orm";
import { z } from "zod";
import type { EventFacts } from "../domain/events/rules.ts";
import type { Event } from "../domain/events/schema.ts";
import { Uuid } from "../domain/ids.ts";
import { standings } from "../domain/machines/truth.ts";
import type { Database } from "./connect.ts";
import { imageVersions, machines, operations } from "./schema.ts";

/** Machines that stand in no row of ours belong to nobody: whoever lists machines sees them. */
const unclaimed: ReadonlySet<string> = new Set(standings.map((standing) => `machine.${standing}`));
/** What an image asked of its readers, told by the event of its end. */
const Guard = z.object({ requiredRoles: z.array(z.string()), requiredClaims: z.array(z.string()) });

/** By the number of the event. */
export async function factsOfEvents(db: Database, events: readonly Event[]): Promise<Map<number, EventFacts>> {
  const ids = (...types: readonly Event["type"][]) => [
    ...new Set(
      events.filter(({ type, subjectId }) => types.includes(type) && Uuid.safeParse(subjectId).success).map(({ subjectId }) => subjectId),
    ),
  ];
  const [asked, owned, guarded] = await Promise.all([
    askersById(db, ids("operation", "step")),
    machinesById(db, ids("machine")),
    imagesById(db, ids("image")),
  ]);
  return new Map(
    events.map(({ number, type, name, project, subjectId, body }) => {
      const nobody = unclaimed.has(name) ? { owner: "", requiredRoles: [], requiredClaims: [] } : null;
      const machine = owned.get(subjectId) ?? nobody;
      const image = guarded.get(subjectId) ?? Guard.safeParse(body["guard"]).data ?? null;
      return [number, { type, name, project, askedBy: asked.get(subjectId) ?? null, machine, image }];
    }),
  );
}

async function askersById(db: Database, ids: readonly string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const rows = await db
    .select({ id: operations.id, actorId: operations.actorId })
    .from(operations)
    .where(inArray(operations.id, [...ids]));
  return new Map(rows.map(({ id, actorId }) => [id, actorId]));
}

async function machinesById(db: Database, ids: readonly string[]) {
  const { id, owner, requiredRoles, requiredClaims } = machines;
  const rows =
    ids.length === 0
      ? []
      : await db
          .select({ id, owner, requiredRoles, requiredClaims })
          .from(machines)
          .where(inArray(machines.id, [...ids]));
  return new Map(rows.map((row) => [row.id, row]));
}

async function imagesById(db: Database, ids: readonly string[]) {
  const { id, requiredRoles, requiredClaims } = imageVersions;
  const rows =
    ids.length === 0
      ? []
      : await db
          .select({ id, requiredRoles, requiredClaims })
          .from(imageVersions)
          .where(inArray(imageVersions.id, [...ids]));
  return new Map(rows.map((row) => [row.id, row]));
}
