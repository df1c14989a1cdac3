/**
 * One real thing of each kind for requests to be about, in the project `default`; and the same kinds of things behind a role of their own.
 *
 * The one idea: whatever `owner` can own is the owner's, so a route that reaches a peer as well lets everybody with the claim.
 */
import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "@temporalio/client";
import { requestPush } from "../../control/catalog.ts";
import { holderOf } from "../../control/start.ts";
import { insertCatalogManager } from "../../db/catalog-managers.ts";
import { createApiKey } from "../../db/api-keys.ts";
import { insertProvider } from "../../db/identity-providers.ts";
import { insertIdentityRule } from "../../db/identity-rules.ts";
import { insertMachine } from "../../db/machines.ts";
import { moveOperation } from "../../db/operations.ts";
import { appendOutput } from "../../db/outputs.ts";
import { insertPlacement } from "../../db/placements.ts";
import { insertPool } from "../../db/pools.ts";
import { createClaim, createRole } from "../../db/roles.ts";
import { observations, operations, pooledMachines, stores } from "../../db/schema.ts";
import { settleOperation } from "../../db/settlement.ts";
import { createUser } from "../../db/users.ts";
import { eq } from "drizzle-orm";
import { NewIdentityProvider, NewIdentityRule } from "../../domain/access/identity.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import type { MachineState } from "../../domain/machines/rules.ts";
import { NewPool } from "../../domain/pools/schema.ts";
import { managerSeal, outputSeal } from "../../security/sealed-texts.ts";
import type { World } from "../api/world.ts";
import { addHost, addImage, gibibyte } from "../control/hub.ts";
import { guild, type Caller, type Callers } from "./callers.ts";

export type Targets = Awaited<ReturnType<typeof makeTargets>>;

/** `folder`: for stores. */
export async function makeTargets(world: World, callers: Callers, folder: string) {
  const { db } = world.control;
  const { owner } = callers;
  await createRole(db, guild, []);
  await createRole(db, "HELPERS", ["LIST_VM"]);
  await createClaim(db, "SPARE_CLAIM");
  const hostId = await addHost(world);
  const storeId = await addStoreIn(world, join(folder, "main"), true);
  const spareStoreId = await addStoreIn(world, join(folder, "spare"), false);
  const told = { description: "A tiny image.", minimum: { vcpus: 1, memoryBytes: gibibyte, diskBytes: gibibyte } };
  const imageId = await addImage(world, storeId, "golden", told);
  const productId = await addImage(world, storeId, "product", told);
  await addImage(world, storeId, "vault", { requiredRoles: [guild] });
  const place = { world, hostId, imageId, owner };
  const machines = {
    stopped: await addMachine(place, "resting", "stopped"),
    running: await addMachine(place, "busy", "running"),
    suspended: await addMachine(place, "sleeping", "suspended"),
    guarded: await addMachine(place, "hidden", "stopped", [guild]),
  };
  const foreignId = await addForeign(world, hostId);
  return {
    hostId,
    folder,
    storeId,
    spareStoreId,
    managerId: await addManager(world, owner),
    leaseId: await addPool(place),
    imageId,
    machines,
    foreignId,
    operations: await addOperations(world, owner),
    userId: await addUser(world),
    keyName: await addKey(world, owner),
    ...(await addIdentity(world)),
    ...(await addByApi(world, callers, hostId)),
    /** What a workflow would tell of its end, whatever its verb is. */
    ending: { imageVersionId: productId, snapshots: [], snapshotId: randomUUID(), exitCode: 0, machineId: machines.stopped },
  };
}

async function addStoreIn(world: World, path: string, isDefault: boolean): Promise<string> {
  const id = randomUUID();
  await mkdir(path, { recursive: true });
  const location = `folder:${path}`;
  await world.control.db.insert(stores).values({ id, name: `store-${id}`, kind: "folder", location, isDefault });
  return id;
}

/** A catalog behind this one, of the owner's alone. */
async function addManager({ control: { db, sealer } }: World, { actor }: Caller): Promise<string> {
  const id = randomUUID();
  const sealed = await managerSeal(sealer).close(id, { username: "", password: "", apiKey: "a-secret-key" });
  const flags = { internal: false, active: true, global: false, trusted: false };
  const words = { name: "elsewhere", url: "http://127.0.0.1:1", authenticationMethod: "api_key", requiredClaims: [] };
  await insertCatalogManager(db, { id, project: actor.project, ownerId: actor.userId, sealed, ...flags, ...words });
  return id;
}

interface Place {
  readonly world: World;
  readonly hostId: string;
  readonly imageId: string;
  readonly owner: Caller;
}

async function addMachine({ world, hostId, imageId, owner }: Place, name: string, observed: MachineState, requiredRoles: string[] = []) {
  const { db } = world.control;
  const id = randomUUID();
  const sizes = { vcpus: 1, memoryBytes: gibibyte / 2, diskBytes: gibibyte };
  await insertMachine(db, {
    id,
    project: owner.actor.project,
    name,
    owner: owner.actor.userId,
    hostId,
    origin: "image",
    imageVersionId: imageId,
    image: "golden/1/arm64",
    kind: "pvm",
    desired: observed === "running" ? "running" : "stopped",
    observed,
    bundlePath: `/machines/${name}.pvm`,
    requiredRoles,
    ...sizes,
  });
  await insertPlacement(db, { machineId: id, epoch: 1, hostId, macos: false, runs: observed === "running", ...sizes });
  return id;
}

/** With one machine, which its owner has leased. */
async function addPool(place: Place): Promise<string> {
  const { db } = place.world.control;
  const { userId, username, project } = place.owner.actor;
  const by = { project, owner: userId, createdBy: username, holder: holderOf(place.owner.actor) };
  const { pool } = await insertPool(db, NewPool.parse({ name: "ready", image: { catalogId: "golden" } }), by);
  const leaseId = randomUUID();
  const machineId = await addMachine(place, "borrowed", "running");
  const lease = { leaseId, leasedBy: username, leasedById: userId, leasedAt: new Date() };
  await db.insert(pooledMachines).values({ machineId, poolId: pool.id, revision: 1, ...lease });
  return leaseId;
}

/** One that somebody made without us. */
async function addForeign(world: World, hostId: string): Promise<string> {
  const id = randomUUID();
  const sizes = { vcpus: 1, memoryBytes: gibibyte, diskBytes: gibibyte, macAddress: null, addresses: [], guestOs: null, tools: null };
  const seen = {
    id,
    name: "foreigner",
    state: "stopped",
    kind: "pvm",
    bundlePath: "/machines/foreigner.pvm",
    mark: null,
    raw: { OS: "linux" },
    ...sizes,
  };
  await world.control.db.insert(observations).values({ hostId, machineId: id, facts: { ...seen, state: "stopped", kind: "pvm" } });
  return id;
}

/** A Temporal that knows none of our namespaces. */
export const nowhere = ({ control }: Pick<World, "control">): Client =>
  new Client({ connection: control.temporal.connection, namespace: "nowhere" });

async function addOperations(world: World, { actor }: Caller) {
  const { db, sealer } = world.control;
  const begin = async (name: string) => {
    const wanted = NewImageVersion.parse({ path: `/own/${name}.pvm`, catalogId: name, version: "1", hostId: null });
    return unwrap(await requestPush({ ...world.control, temporal: nowhere(world) }, wanted, { actor, requestId: null })).id;
  };
  const [running, parked, done] = [await begin("pushing"), await begin("waiting"), await begin("pushed")];
  await moveOperation(db, parked, ["running", "pending"], "parked");
  await settleOperation(db, { operationId: done, steps: [], outcome: "done" });
  const failed = await begin("broken");
  const fault = { code: "no_space", message: "There is no space left.", remedy: "Free some." };
  await settleOperation(db, { operationId: failed, steps: [], outcome: "failed", fault });
  // A capture that has ended, with a picture of one byte.
  const captured = await begin("captured");
  await settleOperation(db, { operationId: captured, steps: [], outcome: "done" });
  await db.update(operations).set({ verb: "capture" }).where(eq(operations.id, captured));
  const line = { operationId: captured, fence: 1, line: 1, stream: "stdout", text: "AA==" } as const;
  await appendOutput(db, outputSeal(sealer), captured, [line]);
  return { running, parked, done, failed, captured };
}

async function addUser({ control: { db } }: World): Promise<string> {
  const id = randomUUID();
  const words = { username: "subject", name: "Subject", email: "subject@example.com" };
  await createUser(db, { id, ...words, passwordHash: null, roles: ["HELPERS"], claims: ["LIST_VM"] });
  return id;
}

async function addKey({ control: { db } }: World, { actor }: Caller): Promise<string> {
  const name = "owners-key";
  const rest = { key: "OWNERS", secretHash: "sha256:0", userId: actor.userId, expiresAt: null, claims: null };
  await createApiKey(db, { id: randomUUID(), name, ...rest });
  return name;
}

async function addIdentity({ control: { db } }: World) {
  const { id } = await insertProvider(db, NewIdentityProvider.parse({ name: "sso", issuer: "http://127.0.0.1:1", clientId: "drover" }));
  const conditions = { repository: "acme/app" };
  const rule = NewIdentityRule.parse({ name: "ci", issuer: "http://127.0.0.1:1", audience: "drover", conditions, user: "root" });
  const [{ id: userId } = { id: "" }] = await db.execute<{ id: string }>("select id from users where username = 'root'");
  await insertIdentityRule(db, rule, { userId, createdBy: "root" });
  return { providerId: id };
}

/** What its own routes make best. */
async function addByApi(world: World, { admin, owner }: Callers, hostId: string) {
  const post = async (token: string, path: string, body: unknown, method = "POST") => {
    const { status, body: made, text } = await world.call(method, path, { token, body, headers: { "X-Drover-Host": hostId } });
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
    return made;
  };
  const route = { path: "/", target_host: "10.0.0.1", target_port: "80" };
  const web = await post(admin.token, "/api/v1/reverse-proxy/hosts", { host: "web.example.com", port: "80", http_routes: [route] });
  const tcp = await post(admin.token, "/api/v1/reverse-proxy/hosts", {
    host: "tcp.example.com",
    port: "81",
    tcp_route: { target_host: "10.0.0.1", target_port: "81" },
  });
  await post(admin.token, "/api/v1/templates/packer", { id: "sheet", name: "Sheet" });
  await post(admin.token, "/api/v1/templates/packer", { id: "secret-sheet", name: "Secret", required_roles: [guild] });
  await post(owner.token, "/api/v1/user/configs", { slug: "looks", name: "Looks", value: "dark" });
  const times = { labels: ["nowhere"], startsAt: "02:30", minutes: 60, zone: "Europe/Berlin" };
  await post(admin.token, "/api/v2/maintenance-windows", { name: "patches", ...times });
  await post(admin.token, "/api/v2/prefetch-policies", { name: "warm", image: { catalogId: "golden" }, all: true, on: "publish" });
  await post(admin.token, "/api/v2/retention/golden", { keepNewest: 1 }, "PUT");
  await post(admin.token, "/api/v2/webhooks", { name: "alarm", url: "https://hooks.example.com/x" });
  const delivery = await post(admin.token, "/api/v2/webhooks/alarm/test", {});
  return { deliveryId: String(delivery.id), proxy: { web: String(web.id), tcp: String(tcp.id), route: String(web.http_routes[0].id) } };
}
