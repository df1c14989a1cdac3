/**
 * What must hold when the dust has settled, whatever died: one list of sentences about what does not.
 *
 * The one idea: everything is compared with the test's own books, in both directions: what must be there is there and whole, and nothing else is.
 */
import { Machine } from "../../cli/wire.ts";
import { grantSubject } from "../../db/grants.ts";
import { FaultError } from "../../domain/errors.ts";
import { packKey, packLimitBytes, sha256Hex } from "../../images/format.ts";
import { cachedPaths } from "../../images/layout.ts";
import { readImage } from "../../images/stored.ts";
import { readAll } from "../../stores/object-store.ts";
import { expectEqualDisks } from "../e2e/disks.ts";
import { cacheOf } from "../e2e/faults.ts";
import { repeatedAs, type Ask } from "./asks.ts";
import type { Fleet, FleetHost } from "./fleet.ts";
import { differences, hostsAreClean, recordsAreNumbered, rowsAreClean, workflowsEnded } from "./left.ts";

/** A host reports every 5 s, and the relay numbers ten times a second: what is not right by then will not be. */
const usualPatienceMs = 30_000;

/** Sentences about what is wrong; none when all is well. */
export async function findWrong(fleet: Fleet, asks: readonly Ask[], patienceMs = usualPatienceMs): Promise<string[]> {
  const looks = [
    operationsEndedRight,
    pushesAreWhole,
    pullsAreWhole,
    machinesAreWhole,
    repeatsAreOne,
    grantsAreOver,
    rowsAreClean,
    hostsAreClean,
    recordsAreNumbered,
    workflowsEnded,
  ];
  const wrong: string[] = [];
  for (const look of looks)
    wrong.push(
      ...(await look(fleet, asks, patienceMs).catch((error: unknown) => [
        `${look.name}: ${error instanceof Error ? error.message : error}`,
      ])),
    );
  return wrong;
}

interface Row {
  readonly id: string;
  readonly verb: string;
  readonly state: string;
  readonly fault: unknown;
  readonly result: Record<string, unknown> | null;
}

async function rowOf({ sql }: Fleet, { operationId }: Ask): Promise<Row | null> {
  if (operationId === null) return null;
  const [row] = await sql<Row[]>`select id, verb, state, fault, result from operations where id = ${operationId}`;
  return row ?? null;
}

/** Each request became one operation of its own, each of which is done; and there is no other. */
async function operationsEndedRight(fleet: Fleet, asks: readonly Ask[]): Promise<string[]> {
  const wrong = asks.flatMap(({ refusal }) => refusal ?? []);
  for (const ask of asks) {
    const row = await rowOf(fleet, ask);
    const what = `${ask.verb} ${ask.catalogId ?? ask.machineId ?? ""}`;
    if (row === null) wrong.push(`${what} became no operation`);
    else if (row.state !== "done" || row.verb !== ask.verb) wrong.push(`${what} (${row.id}) is ${row.state}: ${JSON.stringify(row.fault)}`);
  }
  const ids = asks.flatMap(({ operationId }) => operationId ?? []);
  if (new Set(ids).size !== ids.length) wrong.push("two requests were answered with one operation");
  const keys = asks.map(({ key }) => key);
  const others = await fleet.sql<{ id: string; verb: string; subject: string }[]>`
    select o.id, o.verb, o.subject from operations o
    where o.created_at >= (select min(created_at) from idempotency_keys where key in ${fleet.sql(keys)})
      and o.id not in ${fleet.sql(ids.length > 0 ? ids : [crypto.randomUUID()])}`;
  return [...wrong, ...others.map(({ id, verb, subject }) => `nobody asked for ${verb} ${subject} (${id})`)];
}

async function pushesAreWhole(fleet: Fleet, asks: readonly Ask[]): Promise<string[]> {
  const wrong = (fleet.puts?.again() ?? []).map((path) => `the pack ${path} was sent again after the store had taken it`);
  for (const ask of asks.filter(({ verb }) => verb === "push")) {
    const { digest, generation, newBytes, storedBytes } = (await rowOf(fleet, ask))?.result ?? {};
    // Content of its own: all of it is new, counted once, and lies in the store once.
    if (newBytes !== storedBytes) wrong.push(`push ${ask.catalogId} tells ${newBytes} new bytes of ${storedBytes}`);
    const [row] = await fleet.sql<{ digest: string }[]>`select digest from image_versions where catalog_id = ${ask.catalogId ?? ""}`;
    if (row?.digest !== digest) wrong.push(`the image ${ask.catalogId} is ${row?.digest}, and its push told ${digest}`);
    await expectWholeInStore(fleet, { digest: String(digest), generation: Number(generation) });
  }
  return wrong;
}

/** Each pack is what its name says. */
export async function expectWholeInStore({ store }: Fleet, ref: { digest: string; generation: number }): Promise<void> {
  const signal = new AbortController().signal;
  const { locations } = await readImage(store, ref, signal);
  for (const { sha256 } of locations.packs) {
    const bytes = await readAll(await store.read(packKey(sha256), null, signal), sha256, packLimitBytes);
    if (sha256Hex(bytes) !== sha256) throw new Error(`the pack ${sha256} has other content`);
  }
}

/** Verified against its tree when it appeared; now as a guest would read it. */
async function pullsAreWhole(fleet: Fleet, asks: readonly Ask[]): Promise<string[]> {
  for (const ask of asks.filter(({ verb }) => verb === "pull")) {
    const digest = String((await rowOf(fleet, ask))?.result?.["digest"]);
    const cache = cacheOf(fleet.stack, hostOf(fleet, ask.hostId).name);
    await expectEqualDisks(fleet.sources.get(ask.catalogId ?? "") ?? "", cachedPaths(cache, digest).bundle);
  }
  return [];
}

/** Machines that must live run, are whole, and hold what they hold; no other does. */
async function machinesAreWhole(fleet: Fleet, asks: readonly Ask[]): Promise<string[]> {
  const told = await fleet.stack.client.list("/machines", Machine);
  const wrong = differences(
    "machines that the hub lists",
    told.map(({ id }) => id),
    [...fleet.living.keys()],
  );
  const made = new Set(asks.flatMap(({ madeMachineId }) => madeMachineId ?? []));
  for (const { id, name, observed, desired, bundlePath } of told) {
    if (observed !== "running" || desired !== "running") wrong.push(`${name} is ${observed}, desired ${desired}`);
    const living = fleet.living.get(id);
    if (living && made.has(id)) await expectEqualDisks(fleet.sources.get(living.catalogId) ?? "", bundlePath ?? "");
  }
  const placed = await fleet.sql<{ machineId: string; hostId: string; runs: boolean; vcpus: number }[]>`
    select machine_id as "machineId", host_id as "hostId", runs, vcpus from placements`;
  wrong.push(
    ...differences(
      "placements",
      placed.map(({ machineId }) => machineId),
      [...fleet.living.keys()],
    ),
  );
  for (const { machineId, hostId, runs } of placed)
    if (!runs || hostId !== fleet.living.get(machineId)?.hostId)
      wrong.push(`the placement of ${machineId} is not the one of a running machine`);
  return wrong;
}

/** A client that lost the answer and asks again, even now, is told of the operation that it has. */
async function repeatsAreOne(fleet: Fleet, asks: readonly Ask[]): Promise<string[]> {
  const some = [...Map.groupBy(asks, ({ verb }) => verb).values()].flatMap(([first]) => first ?? []);
  const wrong = [];
  for (const ask of some) {
    const again = await repeatedAs(fleet, ask);
    if (again !== ask.operationId) wrong.push(`${ask.verb} was asked again and is ${again}, not ${ask.operationId}`);
  }
  return wrong;
}

async function grantsAreOver({ database, sql }: Fleet, asks: readonly Ask[]): Promise<string[]> {
  const wrong = [];
  for (const { operationId, verb } of asks) {
    const [row] = await sql<{ hostId: string }[]>`select host_id as "hostId" from operations where id = ${operationId}`;
    const ask = { operationId: operationId ?? "", holder: { hostId: row?.hostId ?? "" }, begin: false };
    const outcome = await grantSubject(database.db, ask).catch((error: unknown) =>
      error instanceof FaultError ? error.fault.code : error,
    );
    if (outcome !== "grant_refused") wrong.push(`${verb} ${operationId} has ended and is still granted something`);
  }
  return wrong;
}

const hostOf = ({ hosts }: Fleet, hostId: string | undefined): FleetHost => {
  const found = hosts.find(({ id }) => id === hostId);
  if (!found) throw new Error(`There is no host ${hostId}.`);
  return found;
};
