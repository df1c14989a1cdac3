/** Guarantees between pushes and collections: of who counts on an object and who removes it, one goes ahead; and what an older push may count on stays. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { pullActivities } from "../../activities/hub/catalog.ts";
import { exportActivities } from "../../activities/hub/export.ts";
import { requestExport } from "../../control/archives.ts";
import { requestPull, requestPush } from "../../control/catalog.ts";
import { livingTrees } from "../../db/care.ts";
import { NewExport } from "../../domain/catalog/archives.ts";
import { memoryStore } from "../../stores/memory.ts";
import { claimRemovals, condemn, condemnedPage, countOn, removalHorizon } from "../../db/condemned.ts";
import { settleOperation } from "../../db/settlement.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { mayCountOn } from "../../gateway/reliance.ts";
import { addHost, addImage, addStore, asked, openHub, type Hub } from "../control/hub.ts";

let hub: Hub;
let storeId: string;
const key = ".drover/v1/trees/" + "a".repeat(64);
beforeAll(async () => {
  hub = await openHub();
}, 60_000);
beforeEach(async () => {
  await hub.sql`update stores set is_default = false`;
  storeId = await addStore(hub);
});
afterAll(() => hub?.close());

const due = async (graceMs = 0) => {
  const { db } = hub.control;
  const before = await removalHorizon(db, storeId, graceMs);
  return (await condemnedPage(db, storeId, { afterKey: "", prefix: ".drover/", before })).map((one) => one.key);
};
const claimed = async () => claimRemovals(hub.control.db, storeId, [key], await removalHorizon(hub.control.db, storeId, 0));
const condemnKey = () => condemn(hub.control.db, storeId, [{ key, bytes: 1 }]);

describe("a condemned object", () => {
  it("is spared by whoever counts on it before it is claimed, and not after", async () => {
    await condemnKey();
    expect(await countOn(hub.control.db, storeId, [key])).toEqual([]);
    expect(await claimed()).toEqual([]);
    await condemnKey();
    expect(await claimed()).toEqual([key]);
    expect(await countOn(hub.control.db, storeId, [key])).toMatchObject([{ key }]);
  });

  it("is promised to nobody while it leaves, and its removal is ended for whoever needs it once the one who began it is dead", async () => {
    const { db } = hub.control;
    const removed: string[] = [];
    const at = { storeId, store: { remove: async (one: string) => void removed.push(one) } };
    await condemnKey();
    await claimed();
    const refused = mayCountOn(db, at, [key], 0);
    await expect(refused).rejects.toMatchObject({ fault: { code: "object_leaving", subject: key } });
    expect(removed).toEqual([]);
    await hub.sql`update condemned_objects set removing_at = now() - interval '11 minutes' where store_id = ${storeId}`;
    await mayCountOn(db, at, [key]);
    expect([removed, await countOn(db, storeId, [key])]).toEqual([[key], []]);
  });

  it("stays for the grace, and while a push of its store that began before has not ended", async () => {
    const hostId = await addHost(hub);
    const wanted = NewImageVersion.parse({ path: "/machines/a.pvm", hostId, catalogId: `c-${randomUUID()}` });
    const { id: operationId } = unwrap(await requestPush(hub.control, wanted, asked()));
    await condemnKey();
    expect(await due()).toEqual([]);
    await settleOperation(hub.control.db, { operationId, steps: [], outcome: "failed" });
    expect(await due()).toEqual([key]);
    expect(await due(60_000)).toEqual([]);
    unwrap(await requestPush(hub.control, { ...wanted, catalogId: `c-${randomUUID()}` }, asked()));
    expect(await due()).toEqual([key]);
  });
});

describe("a tree", () => {
  it("lives while a pull that was given it has not ended, although its version was deleted", async () => {
    const { db } = hub.control;
    const hostId = await addHost(hub);
    const catalogId = `c-${randomUUID()}`;
    const id = await addImage(hub, storeId, catalogId);
    const { id: operationId } = unwrap(await requestPull(hub.control, { image: { catalogId }, hostId, onFault: "fail" }, asked()));
    const { digest } = await pullActivities({ db }).authorisePull({ operationId });
    await hub.sql`delete from image_versions where id = ${id}`;
    expect(await livingTrees(db, storeId)).toEqual([{ digest, generation: 1 }]);
    await settleOperation(db, { operationId, steps: [], outcome: "done" });
    expect(await livingTrees(db, storeId)).toEqual([]);
  });

  it("lives while an export reads it, into whatever store, although its version was deleted", async () => {
    const { db } = hub.control;
    const catalogId = `c-${randomUUID()}`;
    const id = await addImage(hub, storeId, catalogId);
    const target = randomUUID();
    await hub.sql`insert into stores (id, name, kind, location) values (${target}, ${target}, 'folder', ${`folder:/tmp/${target}`})`;
    const key = { catalogId, version: "1", architecture: "arm64" } as const;
    const wanted = NewExport.parse({ storeId: target });
    const { id: operationId } = unwrap(await requestExport(hub.control, key, wanted, asked()));
    const gone = async () => Promise.reject(new Error("Nothing is written in this test."));
    const open = async () => memoryStore();
    const { digest } = await exportActivities({ db, openStore: open, openLarge: gone, gate: async () => null }).authoriseExport({
      operationId,
    });
    await hub.sql`delete from image_versions where id = ${id}`;
    expect(await livingTrees(db, storeId)).toEqual([{ digest, generation: 1 }]);
    await settleOperation(db, { operationId, steps: [], outcome: "done" });
    expect(await livingTrees(db, storeId)).toEqual([]);
  });
});
