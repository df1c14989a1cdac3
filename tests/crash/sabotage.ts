/**
 * Breaks by hand what crashes must not break, so that the look at what is left can be seen to find it.
 *
 * The one idea: each harm is paired with the sentence that must come of it.
 */
import { mkdir, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { cachedPaths } from "../../images/layout.ts";
import { readImage } from "../../images/stored.ts";
import { packKey } from "../../images/format.ts";
import { openRegistry } from "../../parallels/simulator/registry.ts";
import { cacheOf, machineFolderOf, simulatorOf } from "../e2e/faults.ts";
import { makeAsk, newAsk, type Ask, type CrashVerb } from "./asks.ts";
import type { Fleet } from "./fleet.ts";

/** Does all of it and answers what must be found. The fleet is of no use afterwards. */
export async function sabotage(fleet: Fleet, asks: readonly Ask[]): Promise<RegExp[]> {
  const { sql, stack } = fleet;
  const of = (verb: CrashVerb): Ask => asks.find((ask) => ask.verb === verb) ?? newAsk({ verb, method: "POST", path: "/" });
  const [push, pull, provision] = [of("push"), of("pull"), of("provision")];
  const host = fleet.hosts.find(({ id }) => id === pull.hostId)?.name ?? "";

  await makeAsk(fleet, newAsk({ ...pull }));
  await sql`insert into holds (kind, subject_id, operation_id, mode) values ('image', 'x', ${push.operationId}, 'shared')`;
  await sql`update operations set sealed = 'x' where id = ${push.operationId}`;
  await sql`delete from idempotency_keys where key = ${provision.key}`;
  await sql`delete from placements where machine_id = ${provision.madeMachineId}`;
  await sql`update events set number = number + 1000 where number = (select max(number) from events)`;
  for (const path of [join(cacheOf(stack, host), ".incoming", "x"), join(stack.home, "hosts", host, "journals", "x")])
    await mkdir(path, { recursive: true });
  await mkdir(join(machineFolderOf(stack, host), "stray.pvm"));
  const [lost] = [...fleet.living].filter(([, { hostId }]) => hostId === pull.hostId);
  openRegistry(simulatorOf(stack, host)).drop(lost?.[0] ?? "");
  await changePack(fleet, push);
  await changeDisk(fleet, pull, host);
  return [
    /nobody asked for pull/,
    /there are 1 holds/,
    /there are 1 sealed inputs/,
    /provision was asked again and is/,
    /placements: .* is missing/,
    /events and audit records/,
    /\.incoming has x/,
    /journals has x/,
    /bundles: stray\.pvm should not be there/,
    /registered machines: .* is missing/,
    /the pack .* has other content/,
    /pullsAreWhole/,
  ];
}

async function changePack({ sql, store, stack }: Fleet, { catalogId = "" }: Ask): Promise<void> {
  const [row] = await sql<{ digest: string; generation: number }[]>`
    select digest, generation from image_versions where catalog_id = ${catalogId}`;
  if (!row) throw new Error(`There is no image ${catalogId}.`);
  const { locations } = await readImage(store, row, new AbortController().signal);
  const path = join(stack.home, "store", packKey(locations.packs[0]?.sha256 ?? ""));
  await flip(path, 1000);
}

async function changeDisk({ sql, stack }: Fleet, { operationId }: Ask, host: string): Promise<void> {
  const [row] = await sql<{ digest: string }[]>`select result->>'digest' as digest from operations where id = ${operationId}`;
  const { bundle } = cachedPaths(cacheOf(stack, host), row?.digest ?? "");
  const disk = (await readdir(bundle, { recursive: true })).find((name) => name.endsWith(".hds")) ?? "";
  // Within the first cluster of content, behind the disk's own tables.
  await flip(join(bundle, disk), 1024 ** 2 + 5000);
}

async function flip(path: string, offset: number): Promise<void> {
  const file = await open(path, "r+");
  const [before, after] = [Buffer.alloc(1), Buffer.alloc(1)];
  await file.read(before, 0, 1, offset);
  after[0] = (before[0] ?? 0) ^ 0xff;
  await file.write(after, 0, 1, offset);
  await file.close();
}
