/**
 * What operations may leave behind when they have ended: nothing, neither in rows, nor on hosts, nor in Temporal.
 *
 * The one idea: a look that finds something waits a while and looks again, since what is on its way out is not left; what stays is.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Connection } from "@temporalio/client";
import { stateOf } from "../../parallels/simulator/machine.ts";
import { openRegistry } from "../../parallels/simulator/registry.ts";
import { cacheOf, machineFolderOf, simulatorOf } from "../e2e/faults.ts";
import type { Ask } from "./asks.ts";
import type { Fleet, FleetHost } from "./fleet.ts";

export async function rowsAreClean({ sql }: Fleet): Promise<string[]> {
  const [row] = await sql<Record<string, number>[]>`
    select (select count(*)::int from holds) as holds, (select count(*)::int from intents) as intents,
           (select count(*)::int from operations where sealed is not null) as "sealed inputs",
           (select count(*)::int from operations where state not in ('done', 'failed', 'cancelled')) as "open operations",
           (select count(*)::int from steps s join operations o on o.id = s.operation_id
            where o.state = 'done' and s.state not in ('done', 'skipped')) as "steps of ended operations that have not"`;
  return Object.entries(row ?? {}).flatMap(([what, count]) => (count === 0 ? [] : [`there are ${count} ${what}`]));
}

export async function hostsAreClean(fleet: Fleet, _asks: readonly Ask[], patienceMs: number): Promise<string[]> {
  const wrong = [];
  for (const host of fleet.hosts) {
    const end = Date.now() + patienceMs;
    // A command of Parallels Desktop may be on its way out; what stays is left over.
    let left = await leftOn(fleet, host);
    while (left.length > 0 && Date.now() < end) {
      await delay(500);
      left = await leftOn(fleet, host);
    }
    wrong.push(...left.map((what) => `${host.name}: ${what}`));
  }
  return wrong;
}

async function leftOn(fleet: Fleet, { name, id }: FleetHost): Promise<string[]> {
  const home = join(fleet.stack.home, "hosts", name);
  const names = async (...path: string[]) => (await readdir(join(...path)).catch(() => [])).toSorted((a, b) => a.localeCompare(b));
  const living = [...fleet.living].filter(([, { hostId }]) => hostId === id);
  const ids = living.map(([machineId]) => machineId);
  const registered = openRegistry(simulatorOf(fleet.stack, name)).all();
  const ledger = (await names(home, "ledger", "machines")).map((file) => file.replace(/\.json$/, ""));
  const empty = [
    [cacheOf(fleet.stack, name), ".incoming"],
    [cacheOf(fleet.stack, name), ".going"],
    [home, "journals"],
    [home, "host", "commands"],
  ];
  const left = await Promise.all(empty.map(async (path) => (await names(...path)).map((entry) => `${path[1]} has ${entry}`)));
  const bundles = (await names(machineFolderOf(fleet.stack, name))).filter((entry) => entry !== "sources");
  return [
    ...left.flat(),
    ...differences(
      "registered machines",
      registered.map((machine) => machine.id),
      ids,
    ),
    ...registered.flatMap((machine) => (stateOf(machine, Date.now()) === "running" ? [] : [`${machine.name} does not run`])),
    ...differences("machines in the ledger", ledger, ids),
    ...differences(
      "bundles",
      bundles,
      living.map(([, machine]) => `${machine.name}.pvm`),
    ),
  ];
}

/** Events and audit records without a gap, and each operation accepted once and settled once. */
export async function recordsAreNumbered({ sql }: Fleet, asks: readonly Ask[], patienceMs: number): Promise<string[]> {
  const end = Date.now() + patienceMs;
  for (;;) {
    const [row] = await sql<Record<string, number>[]>`
      select (select count(*)::int from events where number is null) + (select count(*)::int from audit where number is null) as unnumbered,
             (select max(number) - min(number) + 1 - count(*) from events)::int + (select max(number) - min(number) + 1 - count(*) from audit)::int as gaps`;
    if (row?.["unnumbered"] === 0 && row["gaps"] === 0) break;
    if (Date.now() > end) return [`events and audit records: ${JSON.stringify(row)}`];
    await delay(200);
  }
  const wrong = [];
  for (const { operationId, verb } of asks) {
    const rows = await sql<{ outcome: string }[]>`
      select outcome from audit where operation_id = ${operationId} and action like ${`${verb}.%`} order by number`;
    const told = rows.map(({ outcome }) => outcome).join(" ");
    if (told !== "accepted done") wrong.push(`the audit tells of ${verb} ${operationId}: ${told}`);
  }
  return wrong;
}

/** None is open, none ended but by its own end, and none met a history that it could not replay. */
export async function workflowsEnded({ stack, sql }: Fleet, _asks: readonly Ask[], patienceMs: number): Promise<string[]> {
  const connection = await Connection.connect({ address: stack.env["TEMPORAL_ADDRESS"] ?? "" });
  const namespace = stack.env["TEMPORAL_NAMESPACE"] ?? "drover";
  const count = async (query: string) => Number((await connection.workflowService.countWorkflowExecutions({ namespace, query })).count);
  try {
    const end = Date.now() + patienceMs;
    const [row] = await sql<{ done: number }[]>`select count(*)::int as done from operations where state = 'done'`;
    let seen = { open: 0, other: 0, completed: 0 };
    do {
      // What is seen lags behind what is.
      await delay(200);
      const [open, completed, all] = await Promise.all([
        count("ExecutionStatus = 'Running'"),
        count("ExecutionStatus = 'Completed'"),
        count(""),
      ]);
      seen = { open, completed, other: all - open - completed };
    } while ((seen.open > 0 || seen.completed < (row?.done ?? 0)) && Date.now() < end);
    const log = await readFile(join(stack.home, "logs", "hub.log"), "utf8");
    const unreplayed = /TMPRL1100|nondetermin/i.exec(log);
    return [
      ...(seen.open > 0 || seen.other > 0 || seen.completed !== row?.done
        ? [`workflows: ${JSON.stringify(seen)} for ${row?.done} operations that are done`]
        : []),
      ...(unreplayed ? [`the hub's log tells of a history that could not be replayed: ${unreplayed[0]}`] : []),
    ];
  } finally {
    await connection.close();
  }
}

/** In both directions, and whatever is there twice. */
export function differences(what: string, found: readonly string[], wanted: readonly string[]): string[] {
  const [missing, more] = [wanted.filter((one) => !found.includes(one)), found.filter((one) => !wanted.includes(one))];
  const twice = found.filter((one, index) => found.indexOf(one) !== index);
  return [
    ...missing.map((one) => `${what}: ${one} is missing`),
    ...more.map((one) => `${what}: ${one} should not be there`),
    ...twice.map((one) => `${what}: ${one} is there twice`),
  ];
}
