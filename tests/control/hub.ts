/**
 * A hub reduced to what the control functions need: its own database, its own Temporal namespace, real keys. Nothing polls unless a test starts a worker,
 * so started workflows stay where they are.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, Connection } from "@temporalio/client";
import { pino } from "pino";
import { inject } from "vitest";
import { requestMachine } from "../../control/machines.ts";
import { system } from "../../control/retire.ts";
import type { Asked, Control } from "../../control/start.ts";
import { openDatabase } from "../../db/connect.ts";
import { keyRows } from "../../db/keys.ts";
import { observeMachine, updateMachine } from "../../db/machines.ts";
import { migrate } from "../../db/migrate.ts";
import { insertPlacement } from "../../db/placements.ts";
import { hosts, imageVersions, stores } from "../../db/schema.ts";
import { settleOperation } from "../../db/settlement.ts";
import { createDatabase } from "../../deploy/embedded/postgres.ts";
import { setupNamespace } from "../../deploy/temporal-setup.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { unwrap, type Result } from "../../domain/errors.ts";
import type { HostFacts } from "../../domain/hosts/schema.ts";
import { MachineAction, NewMachine } from "../../domain/machines/schema.ts";
import { masterKeySource } from "../../security/master-key.ts";
import { openSecurity } from "../../security/open.ts";

export const gibibyte = 1024 ** 3;

export async function openHub() {
  const url = await createDatabase(inject("databaseUrl"));
  await migrate(url);
  const home = await mkdtemp(join(tmpdir(), "drover-control-"));
  const open = openDatabase(url);
  const security = await openSecurity({ masterKey: masterKeySource({ given: undefined, home }), keys: keyRows(open.db) });
  const namespace = `test-${randomUUID()}`;
  const connection = await Connection.connect({ address: inject("temporalAddress") });
  await setupNamespace(connection, namespace);
  const control: Control = {
    db: open.db,
    temporal: new Client({ connection, namespace, dataConverter: { payloadCodecs: [security.codec] } }),
    sealer: security.sealer,
    hubId: security.hubId,
    parkLimitMs: 60_000,
    orphanLimitMs: null,
    reserve: { cpus: 1, memoryBytes: gibibyte, diskBytes: gibibyte },
    log: pino({ level: "silent" }),
  };
  const close = async () => {
    await connection.close();
    await open.close();
    await rm(home, { recursive: true, force: true });
  };
  const { codec, signer, transfers, archives } = security;
  return { control, url, sql: open.sql, namespace, security, codec, signer, transfers, archives, close };
}
export type Hub = Awaited<ReturnType<typeof openHub>>;

/** A hub with one store and the image `ubuntu` in it, as most requests need it. */
export async function openStocked(): Promise<{ hub: Hub; storeId: string }> {
  const hub = await openHub();
  const storeId = await addStore(hub);
  await addImage(hub, storeId, "ubuntu");
  return { hub, storeId };
}

export const action = (wanted: object): MachineAction => MachineAction.parse(wanted);
/** `ok`, or the code of the refusal. */
export const codeOf = (result: Result<unknown>): string => (result.ok ? "ok" : result.fault.code);

export const someone: Actor = { ...system("default"), userId: "user-1", username: "someone", isSuperUser: false };
export const asked = (more: Partial<Asked> = {}): Asked => ({ actor: someone, requestId: null, ...more });

const facts: HostFacts = {
  hardwareId: "hardware",
  architecture: "arm64",
  cpuModel: "M4",
  osName: "macOS",
  osVersion: "26",
  cpus: 9,
  memoryBytes: 33 * gibibyte,
  diskBytes: 500 * gibibyte,
  freeBytes: 301 * gibibyte,
  machineFolder: "/machines",
  roots: ["/machines"],
  hypervisor: { name: "Parallels Desktop", version: "20", licence: "pro", simulated: true },
  workerVersion: "0",
  interfaceVersion: 1,
};

export async function addHost({ control }: Hub, more: Partial<HostFacts> = {}): Promise<string> {
  const id = randomUUID();
  await control.db.insert(hosts).values({
    id,
    name: `mac-${id.slice(0, 8)}`,
    hardwareId: id,
    publicKey: "key",
    facts: { ...facts, ...more },
    lastReportAt: new Date(),
  });
  return id;
}

export async function addStore({ control }: Hub): Promise<string> {
  const id = randomUUID();
  await control.db.insert(stores).values({ id, name: `store-${id}`, kind: "folder", location: `folder:/tmp/${id}`, isDefault: true });
  return id;
}

export async function addImage(
  { control }: Hub,
  storeId: string,
  catalogId: string,
  more: Partial<typeof imageVersions.$inferInsert> = {},
): Promise<string> {
  const id = randomUUID();
  const digest = id.replaceAll("-", "").padEnd(64, "0");
  const sizes = { logicalBytes: gibibyte, allocatedBytes: gibibyte, storedBytes: gibibyte, newBytes: gibibyte };
  const key = { id, catalogId, version: "1", architecture: "arm64", kind: "pvm", digest, generation: 1, storeId } as const;
  await control.db.insert(imageVersions).values({
    ...key,
    ...sizes,
    tags: ["latest"],
    vcpus: 2,
    memoryBytes: 4 * gibibyte,
    probe: { kind: "tools" },
    createdBy: "someone",
    ...more,
  });
  return id;
}

export const newMachine = (more: Partial<NewMachine> = {}) =>
  NewMachine.parse({ name: `m-${randomUUID()}`, image: { catalogId: "ubuntu" }, ...more });

/** A machine of the image `ubuntu` that stands on a host of its own. */
export async function standing(hub: Hub, observed: "stopped" | "running" | "suspended" = "stopped", facts: Partial<HostFacts> = {}) {
  const { db } = hub.control;
  const hostId = await addHost(hub, facts);
  const { machine, operation } = unwrap(await requestMachine(hub.control, newMachine(), asked()));
  const { id: machineId, vcpus, memoryBytes, diskBytes } = machine;
  await insertPlacement(db, { machineId, epoch: 1, hostId, vcpus, memoryBytes, diskBytes, macos: false, runs: observed === "running" });
  await updateMachine(db, machineId, { hostId });
  await observeMachine(db, machineId, observed);
  await settleOperation(db, { operationId: operation.id, steps: [], outcome: "done" });
  return { machineId, hostId, name: machine.name };
}
