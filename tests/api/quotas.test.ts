/** What a project may have: no race gets more, every refusal says how much there is, and everybody sees their own and nothing of others. */
import { randomUUID } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { insertVersion } from "../../db/images.ts";
import { requestAction, requestMachine } from "../../control/machines.ts";
import { adoptActivities } from "../../activities/hub/machines.ts";
import { requestRegister } from "../../control/register.ts";
import { retireRow, updateMachine } from "../../db/machines.ts";
import { hosts } from "../../db/schema.ts";
import { settleOperation } from "../../db/settlement.ts";
import { unwrap } from "../../domain/errors.ts";
import { action, addHost, addImage, addStore, asked, gibibyte, newMachine, someone, standing } from "../control/hub.ts";
import { seenMachine } from "../seen.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let root: string;
let storeId: string;
beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  storeId = await addStore(world);
  await addImage(world, storeId, "ubuntu");
});
afterAll(() => world.close());

/** Limits of `default`, to which `someone` belongs. */
const limit = (quota: object, project = "default") => world.call("PUT", `/api/v2/projects/${project}/quota`, { token: root, body: quota });
const none = { machines: null, vcpus: null, memoryBytes: null, storageBytes: null };
const provision = (more = {}) => requestMachine(world.control, newMachine(more), asked());
const usage = async () => (await world.call("GET", "/api/v2/projects/default", { token: root })).body;

describe("a quota", () => {
  it("lets one of several who ask at once have the last machine, and tells the others why not", async () => {
    const { used } = await usage();
    await limit({ ...none, machines: used.machines + 1 });
    const results = await Promise.all(Array.from({ length: 8 }, () => provision()));
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
    const refused = results.flatMap((one) => (one.ok ? [] : [one.fault]));
    for (const fault of refused)
      expect(fault).toMatchObject({
        code: "quota_exceeded",
        message: `The project default may have ${used.machines + 1} machines: it has ${used.machines + 1}, and 1 more were asked for.`,
      });
    expect((await usage()).used.machines).toBe(used.machines + 1);
  });

  it("counts vCPUs and memory of all machines, running or not, and gives back what is retired", async () => {
    const { used } = await usage();
    await limit({ ...none, vcpus: used.vcpus + 4, memoryBytes: used.memoryBytes + 3 * gibibyte });
    const made = await provision({ vcpus: 4, memoryBytes: 2 * gibibyte });
    expect(made.ok).toBe(true);
    expect(await provision({ vcpus: 1, memoryBytes: gibibyte })).toMatchObject({ ok: false, fault: { code: "quota_exceeded" } });
    if (made.ok) await retireRow(world.control.db, made.value.machine.id, "machine.retired");
    expect((await provision({ vcpus: 2, memoryBytes: gibibyte })).ok).toBe(true);
    expect(await provision({ vcpus: 1, memoryBytes: 4 * gibibyte })).toMatchObject({
      ok: false,
      fault: { message: expect.stringContaining("bytes of memory") },
    });
  });

  it("keeps clones, and machines that would grow, to what is left", async () => {
    await limit(none);
    const { machineId, name } = await standing(world);
    const { used } = await usage();
    await limit({ ...none, machines: used.machines, vcpus: used.vcpus });
    const act = (wanted: object) => requestAction(world.control, machineId, action(wanted), asked());
    expect(await act({ verb: "clone", name: `${name}-2` })).toMatchObject({ ok: false, fault: { code: "quota_exceeded" } });
    expect(await act({ verb: "configure", vcpus: 3 })).toMatchObject({ ok: false, fault: { code: "quota_exceeded" } });
    expect((await act({ verb: "configure", vcpus: 1, memoryBytes: 8 * gibibyte })).ok).toBe(true);
  });

  it("counts what machines are about to get: of many who would grow at once, as many do as fit", async () => {
    await limit(none);
    const machines = [];
    for (let count = 0; count < 20; count++) machines.push(await standing(world));
    const { used } = await usage();
    await limit({ ...none, vcpus: used.vcpus + 5 });
    const grow = (machineId: string) => requestAction(world.control, machineId, action({ verb: "configure", vcpus: 3 }), asked());
    const results = await Promise.all(machines.map(({ machineId }) => grow(machineId)));
    const begun = results.flatMap((one) => (one.ok ? [one.value] : []));
    expect(begun).toHaveLength(5);
    expect(results.flatMap((one) => (one.ok ? [] : [one.fault.code]))).toEqual(Array.from({ length: 15 }, () => "quota_exceeded"));
    expect((await usage()).used.vcpus).toBe(used.vcpus + 5);
    // What came to nothing is given back, what was done is counted once.
    const [failed, done] = begun;
    const settle = (id: string | undefined, outcome: "failed" | "done") =>
      settleOperation(world.control.db, { operationId: id ?? "", steps: [], outcome });
    await settle(failed?.id, "failed");
    expect((await usage()).used.vcpus).toBe(used.vcpus + 4);
    await updateMachine(world.control.db, done?.machineId ?? "", { vcpus: 3 });
    await settle(done?.id, "done");
    expect((await usage()).used.vcpus).toBe(used.vcpus + 4);
    const still = machines.find(({ machineId }) => !begun.some((one) => one.machineId === machineId));
    expect((await grow(still?.machineId ?? "")).ok).toBe(true);
  });

  it("is asked again once a registered bundle tells its size, and lets no more in than it may", async () => {
    await limit(none);
    const { hostId } = await standing(world);
    const register = async (name: string) =>
      unwrap(await requestRegister(world.control, { hostId, path: `/machines/${name}.pvm` }, asked()));
    const [large, small] = [await register("large"), await register("small")];
    const { used } = await usage();
    await limit({ ...none, vcpus: used.vcpus + 3 });
    const { recordAdopted } = adoptActivities({ db: world.control.db });
    const told = (operationId: string, vcpus: number) =>
      recordAdopted({ operationId, effect: { observed: "stopped", seen: seenMachine({ vcpus }) } });
    await expect(told(large.id, 5)).rejects.toMatchObject({ fault: { code: "quota_exceeded" } });
    expect((await usage()).used.vcpus).toBe(used.vcpus);
    await told(small.id, 4);
    await told(small.id, 4);
    expect((await usage()).used.vcpus).toBe(used.vcpus + 3);
    await limit(none);
  });

  it("keeps what is published to the storage that is left", async () => {
    const { used } = await usage();
    await limit({ ...none, storageBytes: used.storageBytes + gibibyte });
    const version = (storedBytes: number) => ({
      ...({
        id: randomUUID(),
        project: "default",
        catalogId: "big",
        version: randomUUID(),
        architecture: "arm64",
        kind: "pvm",
        storeId,
      } as const),
      digest: "0".repeat(64),
      generation: 1,
      logicalBytes: 1,
      allocatedBytes: 1,
      newBytes: 0,
      storedBytes,
      createdBy: "someone",
      probe: { kind: "none" } as const,
    });
    const publish = (storedBytes: number) => world.control.db.transaction((tx) => insertVersion(tx, version(storedBytes)));
    await publish(gibibyte);
    await expect(publish(1)).rejects.toMatchObject({ fault: { code: "quota_exceeded" } });
    expect((await usage()).used.storageBytes).toBe(used.storageBytes + gibibyte);
  });

  it("is refused to the caller as a fault of theirs in both families", async () => {
    const { used } = await usage();
    await limit({ ...none, machines: used.machines });
    const body = { name: `m-${randomUUID()}`, image: { catalogId: "ubuntu" } };
    expect(await world.call("POST", "/api/v2/machines", { token: root, body })).toMatchObject({
      status: 429,
      body: { code: "quota_exceeded", details: { project: "default" } },
    });
    await limit(none);
  });
});

describe("projects", () => {
  it("are seen by their own users, with limits and use, and changed by super users only", async () => {
    const id = `team-${randomUUID().slice(0, 8)}`;
    expect(await world.call("POST", "/api/v2/projects", { token: root, body: { id } })).toMatchObject({
      status: 201,
      body: { id, quota: none },
    });
    expect((await world.call("POST", "/api/v2/projects", { token: root, body: { id } })).status).toBe(409);
    expect(await limit({ machines: 3 }, id)).toMatchObject({ status: 200, body: { quota: { ...none, machines: 3 } } });
    expect(await limit({ vcpus: 6 }, id)).toMatchObject({ body: { quota: { ...none, machines: 3, vcpus: 6 } } });
    expect(await limit({ machines: -1 }, id)).toMatchObject({ status: 400, body: { message: expect.stringContaining("machines") } });
    const body = { username: id, name: id, email: `${id}@example.com`, password: "Correct-horse-8!" };
    await world.call("POST", "/api/v1/auth/users", { token: root, body });
    await world.call("PUT", `/api/v2/projects/${id}/users/${id}`, { token: root });
    const member = await world.login(id, "Correct-horse-8!");
    const listed = await world.call("GET", "/api/v2/projects", { token: member });
    expect(listed.body.items).toMatchObject([{ id, users: 1, used: { machines: 0 } }]);
    expect((await world.call("GET", "/api/v2/projects/default", { token: member })).status).toBe(404);
    expect((await world.call("PUT", `/api/v2/projects/${id}/quota`, { token: member, body: {} })).status).toBe(403);
    expect((await world.call("POST", "/api/v2/projects", { token: member, body: { id: "mine" } })).status).toBe(403);
    expect(someone.project).toBe("default");
  });
});

describe("what belongs to another project", () => {
  const password = "Correct-horse-8!";
  // The role that users begin with may clear caches.
  beforeAll(() => world.call("POST", "/api/v1/auth/roles", { token: root, body: { name: "BARE" } }));
  const member = async (claims: string[], project?: string) => {
    const username = `u-${randomUUID().slice(0, 8)}`;
    const body = { username, name: username, email: `${username}@example.com`, password, roles: ["BARE"], claims };
    expect((await world.call("POST", "/api/v1/auth/users", { token: root, body })).status).toBe(201);
    if (project) await world.call("PUT", `/api/v2/projects/${project}/users/${username}`, { token: root });
    return { username, token: await world.login(username, password) };
  };

  it("is in no list of a host's cache, not even as a digest, but for those who may clear it", async () => {
    const project = `team-${randomUUID().slice(0, 8)}`;
    await world.call("POST", "/api/v2/projects", { token: root, body: { id: project } });
    const digests = { ours: "a".repeat(64), theirs: "b".repeat(64), guarded: "c".repeat(64) };
    await addImage(world, storeId, "ours", { project, digest: digests.ours });
    await addImage(world, storeId, "theirs", { digest: digests.theirs });
    await addImage(world, storeId, "guarded", { digest: digests.guarded, requiredRoles: ["ADMIN"] });
    const hostId = await addHost(world);
    const cached = Object.values(digests).map((digest) => ({ digest, bytes: 1024 ** 2, lastUsedAt: new Date().toISOString() }));
    await world.control.db.update(hosts).set({ cached }).where(eq(hosts.id, hostId));
    const reading = ["LIST", "LIST_CACHE"];
    const seen = async ({ token }: { token: string }) => {
      const ask = async (path: string) => (await world.call("GET", path, { token })).body;
      const { items } = await ask(`/api/v2/cache?host=${hostId}`);
      const listed = (await ask("/api/v2/hosts")).items.find(({ id }: { id: string }) => id === hostId);
      const lists = [items, listed.cached, (await ask(`/api/v2/hosts/${hostId}`)).cached].map((list: { digest: string }[]) =>
        list
          .map(({ digest }) => digest.slice(0, 1))
          .toSorted()
          .join(""),
      );
      const wire = await ask(`/api/v1/orchestrator/hosts/${hostId}/cache`);
      const named = items.flatMap(({ images }: { images: string[] }) => images);
      return { lists, named, wire: [wire.total_size, wire.manifests.length] };
    };
    expect(await seen(await member(reading, project))).toEqual({ lists: ["a", "a", "a"], named: ["ours/1/arm64"], wire: [1, 1] });
    expect(await seen(await member(reading))).toEqual({ lists: ["b", "b", "b"], named: ["theirs/1/arm64"], wire: [1, 1] });
    const all = ["abc", "abc", "abc"];
    expect(await seen(await member([...reading, "DELETE_ALL_CACHE"]))).toEqual({ lists: all, named: ["theirs/1/arm64"], wire: [3, 1] });
    expect(await seen(await member([...reading, "DELETE_ALL_CACHE"], project))).toMatchObject({ lists: ["a", "a", "a"] });
    expect(await seen({ token: root })).toMatchObject({ lists: all });
  });

  it("is not named by a refusal: a claim that is held tells how many hold it", async () => {
    const project = `team-${randomUUID().slice(0, 8)}`;
    await world.call("POST", "/api/v2/projects", { token: root, body: { id: project } });
    await world.call("POST", "/api/v1/auth/claims", { token: root, body: { name: "HELD" } });
    await member(["HELD"], project);
    const { token } = await member(["DELETE_CLAIM"]);
    const remove = () => world.call("DELETE", "/api/v1/auth/claims/HELD", { token });
    expect(await remove()).toMatchObject({ status: 400, body: { message: "error 400: claim is held by 1 user" } });
    await member(["HELD"], project);
    expect((await remove()).body.message).toBe("error 400: claim is held by 2 users");
  });
});
