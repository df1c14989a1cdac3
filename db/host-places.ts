/** What the hub must know of a host before it sends work there: that it exists, takes work, and what it can run. */
import { eq, sql } from "drizzle-orm";
import type { Architecture } from "../domain/catalog/rules.ts";
import { refuse, ok, type Result } from "../domain/errors.ts";
import { hostStateAt, type HostState } from "../domain/hosts/rules.ts";
import { CachedImage, HostFacts } from "../domain/hosts/schema.ts";
import { Uuid } from "../domain/ids.ts";
import type { Database } from "./connect.ts";
import { hosts } from "./schema.ts";

export interface HostPlace {
  readonly id: string;
  readonly name: string;
  readonly enabled: boolean;
  readonly state: HostState;
  /** Null until its first report. */
  readonly architecture: Architecture | null;
}

export async function findHostPlace(db: Database, id: string): Promise<Result<HostPlace>> {
  const silentMs = sql<string | null>`extract(epoch from clock_timestamp() - ${hosts.lastReportAt}) * 1000`;
  const [found] = Uuid.safeParse(id).success ? await db.select({ host: hosts, silentMs }).from(hosts).where(eq(hosts.id, id)) : [];
  if (!found) return refuse({ code: "host_not_found", message: `There is no host ${id}.`, subject: id });
  const { name, enabled, facts } = found.host;
  const state = hostStateAt(found.silentMs === null ? null : Number(found.silentMs));
  return ok({ id: found.host.id, name, enabled, state, architecture: HostFacts.nullable().parse(facts)?.architecture ?? null });
}

/** Remembers that the host has an image before it reports so; its next inventory says what is true. */
export async function noteCached(tx: Database, hostId: string, { digest, bytes }: { digest: string; bytes: number }): Promise<void> {
  const [row] = await tx.select({ cached: hosts.cached }).from(hosts).where(eq(hosts.id, hostId)).for("update");
  const cached = CachedImage.array().parse(row?.cached ?? []);
  if (!row || cached.some((image) => image.digest === digest)) return;
  await tx
    .update(hosts)
    .set({ cached: [...cached, { digest, bytes, lastUsedAt: new Date().toISOString() }] })
    .where(eq(hosts.id, hostId));
}
