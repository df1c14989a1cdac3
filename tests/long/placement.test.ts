/**
 * Ten thousand schedules at random by fifty writers at once: no host is ever given more than it has.
 *
 * The one idea: after each change all hosts are summed up by a query of its own, which shares nothing with the code that reserves. `DROVER_TEST_SCHEDULES` says
 * how many.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { placeMachine } from "../../activities/hub/placing.ts";
import { requestAction, requestMachine } from "../../control/machines.ts";
import { recordActed, retireRow } from "../../db/machines.ts";
import { deletePlacement } from "../../db/placements.ts";
import { settleOperation } from "../../db/settlement.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { addHost, addImage, asked, gibibyte, newMachine, openStocked, type Hub } from "../control/hub.ts";
import { randomFrom, testSeed } from "../crash/random.ts";

const schedules = Number(process.env["DROVER_TEST_SCHEDULES"] ?? 10_000);
const writers = 50;

let hub: Hub;
beforeAll(async () => {
  const stocked = await openStocked();
  hub = stocked.hub;
  await addImage(hub, stocked.storeId, "mac", { kind: "macvm" });
});
afterAll(() => hub.close());

/** What hosts were given beyond what they have: CPU and memory of what runs, disk of what is being made, macOS machines that run. */
const overCommits = () => hub.sql`
  select h.name, sum(p.vcpus) filter (where p.runs) as vcpus, sum(p.memory_bytes) filter (where p.runs) as memory, count(*) filter (where p.runs and p.macos) as macos
  from hosts h join placements p on p.host_id = h.id
  group by h.id having coalesce(sum(p.vcpus) filter (where p.runs), 0) > (h.facts->>'cpus')::int - 1
    or coalesce(sum(p.memory_bytes) filter (where p.runs), 0) > (h.facts->>'memoryBytes')::bigint - ${gibibyte}
    or count(*) filter (where p.runs and p.macos) > 2`;

it(`gives no host more than it has in ${schedules} schedules by ${writers} writers`, async () => {
  const seed = testSeed();
  const { next, between, pick } = randomFrom(seed);
  const { control } = hub;
  await hub.sql`update hosts set enabled = false`;
  for (const cpus of [5, 9, 17, 33]) await addHost(hub, { cpus, memoryBytes: (cpus + 1) * gibibyte });
  const standing: string[] = [];
  const told = { placed: 0, refused: 0, started: 0, ended: 0, over: [] as unknown[] };
  const noRoom = (error: unknown) => {
    if (!(error instanceof FaultError) || error.fault.code !== "no_capacity") throw error;
    told.refused += 1;
  };

  const make = async () => {
    const start = next() < 0.7;
    const size = { vcpus: Math.floor(between(1, 9)), memoryBytes: Math.floor(between(1, 9)) * gibibyte };
    const image = { catalogId: next() < 0.3 ? "mac" : "ubuntu" };
    const wanted = newMachine({ ...size, image, start, profile: pick(["spread", "fill"] as const), name: `m-${randomUUID()}` });
    const { operation, machine } = unwrap(await requestMachine(control, wanted, asked()));
    const placing = { db: control.db, hubId: control.hubId, reserve: control.reserve };
    const placed = await placeMachine(placing, { operationId: operation.id, excluded: [] }).catch(noRoom);
    const outcome = placed ? "done" : "failed";
    if (placed) {
      told.placed += 1;
      await control.db.transaction((tx) => recordActed(tx, machine.id, start ? "running" : "stopped"));
      standing.push(machine.id);
    } else await control.db.transaction((tx) => retireRow(tx, machine.id, "machine.forgotten"));
    await settleOperation(control.db, { operationId: operation.id, steps: [], outcome });
  };
  const start = async (id: string) => {
    const begun = await requestAction(control, id, { verb: "start" }, asked());
    if (!begun.ok) return begun.fault.code === "no_capacity" ? void (told.refused += 1) : undefined;
    told.started += 1;
    await control.db.transaction((tx) => recordActed(tx, id, "running"));
    await settleOperation(control.db, { operationId: begun.value.id, steps: [], outcome: "done" });
  };
  const end = async (id: string) => {
    told.ended += 1;
    await control.db.transaction(async (tx) => {
      await retireRow(tx, id, "machine.retired");
      await deletePlacement(tx, id);
    });
  };

  let left = schedules;
  const write = async () => {
    while (left-- > 0) {
      // Hosts report all the time; these do not.
      if (left % 100 === 0) await hub.sql`update hosts set last_report_at = now()`;
      const known = standing.length > 0 && next() < 0.45 ? standing.splice(Math.floor(next() * standing.length), 1)[0] : undefined;
      if (known === undefined) await make();
      else if (next() < 0.3) await start(known).finally(() => standing.push(known));
      else await end(known);
      told.over.push(...(await overCommits()));
    }
  };
  await Promise.all(Array.from({ length: writers }, write));
  process.stdout.write(`DROVER_TEST_SEED=${seed}: ${JSON.stringify({ ...told, over: told.over.length })}\n`);
  expect(told.over).toEqual([]);
  expect(Math.min(told.placed, told.refused, told.started, told.ended)).toBeGreaterThan(schedules / 100);
}, 3_600_000);
