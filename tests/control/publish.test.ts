/** Guarantees of publishing: only the newest attempt writes a version, and a version changes only when its caller says so. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pullActivities, pushActivities } from "../../activities/hub/catalog.ts";
import { requestPull, requestPush } from "../../control/catalog.ts";
import { grantScope, grantSubject } from "../../db/grants.ts";
import { findImage, listImages, resolveImages } from "../../db/images.ts";
import { drawFence, findOperation } from "../../db/operations.ts";
import { settleOperation } from "../../db/settlement.ts";
import { NewImageVersion, type BundleFacts } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { memoryStore } from "../../stores/memory.ts";
import type { Upload } from "../../workflows/catalog/push.ts";
import { addHost, addStore, asked, gibibyte, openHub, type Hub } from "./hub.ts";

let hub: Hub;
let hostId: string;
let activities: ReturnType<typeof pushActivities>;
beforeAll(async () => {
  hub = await openHub();
  await addStore(hub);
  hostId = await addHost(hub);
  activities = pushActivities({ db: hub.control.db, openStore: async () => memoryStore() });
});
afterAll(() => hub.close());

const sizes = { logicalBytes: gibibyte, allocatedBytes: gibibyte, storedBytes: 10, newBytes: 10 };
const facts: BundleFacts = {
  path: "/machines/a.pvm",
  kind: "pvm",
  name: "a",
  guestOs: "ubuntu",
  architecture: "arm64",
  vcpus: 2,
  memoryBytes: gibibyte,
  logicalBytes: 1,
  allocatedBytes: 1,
  machineId: null,
};
const digestOf = (letter: string) => letter.repeat(64);
const upload = (fence: number, digest: string): Upload => ({ digest, generation: 1, fence, files: 1, packs: 1, ...sizes });

async function push(catalogId: string, digest: string, more: object = {}) {
  const wanted = NewImageVersion.parse({ path: facts.path, hostId, catalogId, ...more });
  const { id: operationId } = unwrap(await requestPush(hub.control, wanted, asked()));
  await activities.planPush({ operationId, facts: null });
  await activities.planPush({ operationId, facts });
  const fence = await drawFence(hub.control.db, operationId);
  const publish = (drawn = fence) => activities.publishVersion({ operationId, facts, upload: upload(drawn, digest) });
  const end = () => settleOperation(hub.control.db, { operationId, steps: [], outcome: "done" });
  return { operationId, fence, publish, end };
}
const published = async (catalogId: string, digest: string, more: object = {}) => {
  const { publish, end } = await push(catalogId, digest, more);
  return publish().finally(end);
};
const found = async (catalogId: string, version = "latest") =>
  unwrap(await findImage(hub.control.db, "default", { catalogId, version, architecture: "arm64" }));

describe("publishing", () => {
  it("is refused to an attempt that a newer one followed", async () => {
    const { operationId, fence, publish } = await push("fenced", digestOf("a"));
    await drawFence(hub.control.db, operationId);
    await expect(publish(fence)).rejects.toMatchObject({ fault: { code: "fenced" } });
    await expect(found("fenced")).rejects.toMatchObject({ fault: { code: "image_not_found" } });
  });

  it("answers as before when its answer was lost", async () => {
    const { publish } = await push("twice", digestOf("a"));
    const first = await publish();
    expect(await publish()).toEqual(first);
    await expect(published("replaced", digestOf("a"))).resolves.toMatchObject({ replaced: false });
    const again = await push("replaced", digestOf("b"), { replace: true });
    expect(await again.publish()).toMatchObject({ replaced: true });
    expect(await again.publish()).toMatchObject({ replaced: true });
  });

  it("changes no version to other content unless asked to", async () => {
    await published("kept", digestOf("a"));
    await expect(published("kept", digestOf("a"))).resolves.toMatchObject({ replaced: false });
    await expect(published("kept", digestOf("b"))).rejects.toMatchObject({ fault: { code: "image_exists" } });
    expect((await found("kept")).digest).toBe(digestOf("a"));
    await expect(published("kept", digestOf("b"), { replace: true })).resolves.toMatchObject({ replaced: true });
    expect((await found("kept")).digest).toBe(digestOf("b"));
  });

  it("gives the newest created version the tag latest and takes it from its siblings", async () => {
    await published("tagged", digestOf("a"), { version: "1" });
    await published("tagged", digestOf("b"), { version: "2", tags: ["stable"] });
    await published("tagged", digestOf("c"), { version: "1", replace: true });
    expect((await found("tagged", "1")).tags).toEqual([]);
    expect((await found("tagged", "2")).tags.toSorted()).toEqual(["latest", "stable"]);
    const [resolved] = await resolveImages(hub.control.db, "default", { catalogId: "tagged" });
    expect(resolved?.version).toBe("2");
  });

  it("changes nothing for an operation that has ended", async () => {
    const { publish, end } = await push("ended", digestOf("a"));
    await end();
    await expect(publish()).rejects.toMatchObject({ fault: { code: "operation_settled" } });
  });

  it("names the image of a push without an architecture by its bundle's", async () => {
    const { operationId } = await push("named", digestOf("a"));
    expect(unwrap(await findOperation(hub.control.db, operationId)).image).toBe("named/latest/arm64");
  });

  it("offers the newest versions of its catalog id in the same store as bases", async () => {
    for (const [version, letter] of [
      ["1", "a"],
      ["2", "b"],
    ] as const)
      await published("based", digestOf(letter), { version });
    const { operationId } = await push("based", digestOf("c"), { version: "3" });
    const { bases } = await activities.planPush({ operationId, facts });
    expect(bases.map(({ digest }) => digest)).toEqual([digestOf("b"), digestOf("a")]);
  });
});

describe("a pull", () => {
  it("is counted once and refused when the version was marked since", async () => {
    await published("pulled", digestOf("d"));
    const { id: operationId } = unwrap(
      await requestPull(hub.control, { image: { catalogId: "pulled" }, hostId, onFault: "fail" }, asked()),
    );
    const pull = pullActivities({ db: hub.control.db });
    const wanted = await pull.authorisePull({ operationId });
    expect(wanted).toMatchObject({ digest: digestOf("d"), image: "pulled/latest/arm64" });
    const fetched = { digest: wanted.digest, fetchedBytes: 1, reusedBytes: 0, logicalBytes: 1, wasCached: false };
    for (let n = 0; n < 2; n++) await pull.recordCached({ operationId, hostId, fetched });
    expect((await found("pulled")).downloads).toBe(1);
    await hub.sql`update image_versions set tainted_at = now(), tainted_by = 'carol' where catalog_id = 'pulled'`;
    await expect(pull.authorisePull({ operationId })).rejects.toMatchObject({ fault: { code: "image_tainted" } });
  });

  it("keeps its right to the tree that it was given when the version points elsewhere, or is gone", async () => {
    await published("moving", digestOf("e"));
    const { db } = hub.control;
    const { id: operationId } = unwrap(
      await requestPull(hub.control, { image: { catalogId: "moving" }, hostId, onFault: "fail" }, asked()),
    );
    const scope = async () => grantScope(db, await grantSubject(db, { operationId, holder: { hostId }, begin: false }));
    expect(await scope()).toBeNull();
    await hub.sql`update image_versions set generation = 7 where catalog_id = 'moving'`;
    await pullActivities({ db }).authorisePull({ operationId });
    await published("moving", digestOf("f"), { replace: true });
    const { storeId } = await found("moving");
    expect(await scope()).toEqual({ storeId, trees: [{ digest: digestOf("e"), generation: 7 }], packs: "read" });
    await hub.sql`delete from image_versions where catalog_id = 'moving'`;
    expect(await scope()).toMatchObject({ trees: [{ digest: digestOf("e"), generation: 7 }] });
  });
});

describe("a list of images", () => {
  it("leaves out what its reader may not see", async () => {
    const catalogId = `seen-${randomUUID()}`;
    await published(catalogId, digestOf("e"), { version: "1", requiredClaims: ["READ_SECRET"] });
    await published(catalogId, digestOf("e"), { version: "2" });
    const seen = async (claims: string[]) =>
      (await listImages(hub.control.db, { catalogId, visibleTo: { roles: [], claims } }, { limit: 10 })).items.map(
        ({ version }) => version,
      );
    expect(await seen([])).toEqual(["2"]);
    expect((await seen(["read_secret"])).toSorted()).toEqual(["1", "2"]);
  });
});
