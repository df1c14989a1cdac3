/** A store's row tells what the store answered last. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findStore } from "../../db/stores.ts";
import { stores as storeRows } from "../../db/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { openStores, type GatewayStore } from "../../gateway/stores.ts";
import { storeDenied, storeUnavailable } from "../../stores/faults.ts";
import { memoryStore } from "../../stores/memory.ts";
import { checkStores } from "../../workers/stores.ts";
import { openHub, type Hub } from "./hub.ts";

let hub: Hub;
let id: string;
let problem: Error | null = null;
beforeAll(async () => {
  hub = await openHub();
  id = randomUUID();
  await hub.control.db.insert(storeRows).values({ id, name: "s", kind: "folder", location: "folder:/s" });
});
afterAll(() => hub.close());

/** A store that fails as it is told to. */
const failing = (): GatewayStore => {
  const store = memoryStore();
  const size = async (key: string) => {
    if (problem) throw problem;
    return store.size(key);
  };
  return { ...store, size };
};
const state = async () => unwrap(await findStore(hub.control.db, id)).state;

describe("a store's state", () => {
  it("follows what transfers meet, and comes back to ready", async () => {
    const { db, sealer } = hub.control;
    const opened = openStores({ db, sealer, ports: { open: failing, packsOf: async () => [] } });
    const ask = async () => (await opened.open(id)).size("k");
    for (const [error, expected] of [
      [storeDenied("k"), "denied"],
      [storeUnavailable("k", "it is away"), "unavailable"],
    ] as const) {
      problem = error;
      await expect(ask()).rejects.toBe(error);
      expect(await state()).toBe(expected);
      problem = null;
      expect(await ask()).toBeNull();
      expect(await state()).toBe("ready");
    }
  });

  it("is looked at when nothing travels, even when another process wrote it", async () => {
    const { db, sealer } = hub.control;
    const opened = openStores({ db, sealer, ports: { open: failing, packsOf: async () => [] } });
    problem = storeDenied("k");
    await checkStores(db, opened);
    expect(await state()).toBe("denied");
    problem = null;
    await checkStores(db, opened);
    expect(await state()).toBe("ready");
    await hub.sql`update stores set state = 'unavailable' where id = ${id}`;
    await checkStores(db, opened);
    expect(await state()).toBe("ready");
  });
});
