/**
 * Many writers of events at once: machines that change in turns, each turn told by an event.
 *
 * The one idea: as operations do, a writer locks the machine's row first and writes the event later in the same transaction, so turns of one machine have an order.
 */
import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { relay } from "../../control/relay.ts";
import { recordEvent } from "../../db/events.ts";
import type { World } from "./world.ts";

/** The machines that take turns. */
export async function openTurns(world: World): Promise<string[]> {
  const machines = Array.from({ length: 4 }, () => randomUUID());
  await world.sql`create table if not exists turns (id uuid primary key, turn int not null)`;
  await world.sql`insert into turns select unnest(${machines}::uuid[]), 0`;
  return machines;
}

/** So many turns by six writers, of which every fifth has its events numbered at once. */
export async function writeTurns({ hub: { db } }: World, machines: readonly string[], turns: number): Promise<void> {
  const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  process.stdout.write(`DROVER_TEST_SEED=${seed}\n`);
  const write = async (n: number): Promise<void> => {
    const random = ((seed + n) * 2_654_435_761) % 2 ** 32;
    const id = machines[random % machines.length] ?? "";
    await db.transaction(async (tx) => {
      const [row] = await tx.execute<{ turn: number }>(sql`update turns set turn = turn + 1 where id = ${id} returning turn`);
      await tx.execute(sql`select pg_sleep(${(random % 7) / 1000})`);
      await recordEvent(tx, { type: "host", name: "host.turn", subjectId: id, body: { turn: row?.turn } });
    });
    if (n % 5 === 0) await relay(db);
  };
  const lanes = Array.from({ length: 6 }, async (_, lane) => {
    for (let n = lane; n < turns; n += 6) await write(n);
  });
  await Promise.all(lanes);
}
