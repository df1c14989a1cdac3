/**
 * The six processes that are killed, and what was under way when one died.
 *
 * The one idea: what dies is noted the moment before, from the rows, and counted afterwards: an operation that had ended by then was not hit.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Ask, CrashVerb } from "./asks.ts";
import type { Fleet } from "./fleet.ts";
import type { Random } from "./random.ts";

export const victims = ["host worker", "hub worker", "API", "gateway", "Temporal server", "PostgreSQL"] as const;
export type Victim = (typeof victims)[number];

const childOf: Record<Exclude<Victim, "host worker">, string> = {
  "hub worker": "hub",
  API: "api",
  gateway: "gateway",
  "Temporal server": "temporal",
  PostgreSQL: "postgres",
};

/** One operation under way at one kill. */
export interface Hit {
  readonly victim: Victim;
  readonly verb: CrashVerb;
  /** `request`: asked and not answered; `accepted`: its workflow was not known to run; `between`: no step ran. */
  readonly step: string;
  readonly operationId: string | null;
  /** The request that was open, whose operation is known later. */
  readonly ask: Ask | null;
  readonly killedAt: number;
}

interface UnderWay {
  readonly id: string;
  readonly verb: CrashVerb;
  readonly state: string;
  readonly step: string | null;
}

export async function underWay({ sql }: Fleet): Promise<UnderWay[]> {
  const rows = await sql<UnderWay[]>`
    select o.id, o.verb, o.state, (select s.name from steps s where s.operation_id = o.id and s.state in ('running', 'parked')
                                   order by s.position limit 1) as step
    from operations o where o.state not in ('done', 'failed', 'cancelled')`;
  return [...rows];
}

/** Kills it with -9 and answers what it hit. Of PostgreSQL every fourth time only one session's process dies, which makes it restart them all. */
export async function kill(fleet: Fleet, victim: Victim, asks: readonly Ask[], random: Random): Promise<Hit[]> {
  const { pids, rows } = await sighted(async () => ({ pids: await pidsOf(fleet, victim, random), rows: await underWay(fleet) }));
  const open = asks.filter((ask) => ask.open && ask.operationId === null);
  const killedAt = Date.now();
  for (const pid of pids) process.kill(pid, "SIGKILL");
  const stepOf = ({ state, step }: UnderWay) => (state === "pending" ? "accepted" : (step ?? "between"));
  return [
    ...rows.map((row) => ({ victim, verb: row.verb, step: stepOf(row), operationId: row.id, ask: null, killedAt })),
    ...open.map((ask) => ({ victim, verb: ask.verb, step: "request", operationId: null, ask, killedAt })),
  ];
}

/** What died before must be back, the database too: else nobody can say what the next death hits. */
async function sighted<T>(look: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await look();
    } catch (error) {
      if (tries > 600) throw error;
      await delay(100);
    }
  }
}

async function pidsOf(fleet: Fleet, victim: Victim, random: Random): Promise<number[]> {
  const pids = fleet.stack.stack.pids();
  const names = victim === "host worker" ? fleet.hosts.map(({ name }) => name) : [childOf[victim]];
  const living = names.flatMap((name) => pids[name] ?? []);
  if (living.length < names.length) throw new Error(`The ${victim} is being started again.`);
  if (victim !== "PostgreSQL" || random.next() >= 0.25) return living;
  const sessions = await fleet.sql<{ pid: number }[]>`
    select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`;
  return sessions.length === 0 ? living : [random.pick(sessions).pid];
}

/** Hits that count: the operation had not ended when the process died, and no operation counts twice for one kill. */
export async function counted(fleet: Fleet, hits: readonly Hit[]): Promise<Hit[]> {
  const ended = await fleet.sql<{ id: string; endedAt: Date | null }[]>`select id, ended_at as "endedAt" from operations`;
  const endOf = new Map(ended.map(({ id, endedAt }) => [id, endedAt?.getTime() ?? null]));
  const seen = new Set<string>();
  return hits.flatMap((hit) => {
    const operationId = hit.operationId ?? hit.ask?.operationId ?? null;
    if (operationId === null) return [];
    const key = `${hit.victim} ${hit.killedAt} ${operationId}`;
    const end = endOf.get(operationId) ?? null;
    if (seen.has(key) || (end !== null && end <= hit.killedAt)) return [];
    seen.add(key);
    return [{ ...hit, operationId }];
  });
}

/** Every step that an operation of these verbs has had. */
export async function stepsOf({ sql }: Fleet): Promise<{ verb: CrashVerb; step: string }[]> {
  const rows = await sql<{ verb: CrashVerb; step: string }[]>`
    select distinct o.verb, s.name as step from steps s join operations o on o.id = s.operation_id
    where o.verb in ('push', 'pull', 'provision', 'retire')`;
  return [...rows];
}
