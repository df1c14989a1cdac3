/** Over the Parallels DevOps contract, an end that is asked for twice is one end, at once and while it runs; after it there is no such machine. */
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, it } from "vitest";
import { retireRow } from "../../db/machines.ts";
import { operations } from "../../db/schema.ts";
import { openWorld, rootPassword, type World } from "../api/world.ts";
import { addImage, addStore, standing } from "../control/hub.ts";

let world: World;
let root: string;
beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  await addImage(world, await addStore(world), "ubuntu");
});
afterAll(() => world.close());

const remove = (id: string, query = "") => world.call("DELETE", `/api/v1/machines/${id}${query}`, { token: root });

it("answers twenty forced and graceful requests with the end of one operation", async () => {
  const { db } = world.hub;
  const { machineId } = await standing(world, "running");
  expect((await remove(machineId)).status).toBe(400);
  const first = remove(machineId, "?force=true");
  const begun = () => db.select().from(operations).where(eq(operations.machineId, machineId));
  await expect.poll(async () => (await begun()).some(({ verb }) => verb === "retire")).toBe(true);
  // Under way, so that it runs no more: no reason to refuse who asks for its end.
  const others = Array.from({ length: 19 }, (_, index) => remove(machineId, index % 2 === 0 ? "?force=true" : ""));
  await retireRow(db, machineId, "machine.retired");
  await world.settle("retire");
  expect((await first).status).toBe(202);
  // Who was read only when it was over is told that there is no such machine.
  for (const { status } of await Promise.all(others)) expect([202, 404]).toContain(status);
  expect((await remove(machineId)).status).toBe(404);
  expect((await begun()).filter(({ verb }) => verb === "retire")).toHaveLength(1);
  expect((await remove(crypto.randomUUID())).status).toBe(404);
}, 180_000);
