/**
 * A stack with room for many small machines whose guests boot at once, and pools in it as their users see them.
 *
 * The one idea: what a pool promises is looked at all the time while something happens, not only once it is over.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Client, Connection } from "@temporalio/client";
import { pathOf } from "../../cli/client.ts";
import { Host, Lease, Machine, Operation, Pool, PoolDetail } from "../../cli/wire.ts";
import { openDatabase } from "../../db/connect.ts";
import { openPrlctl } from "../../parallels/prlctl.ts";
import { controlSimulator, usualControl } from "../../parallels/simulator/control.ts";
import type { PoolDetail as Detail } from "../../domain/pools/schema.ts";
import { sampleIn, simulatorOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";

export const mebibyte = 1024 ** 2;
export const small = { vcpus: 1, memoryBytes: 128 * mebibyte };

export async function openPools(variables: Readonly<Record<string, string>> = {}) {
  const stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "2", DROVER_RATE_CALLER: "100000000", ...variables });
  const hosts = await stack.client.list("/hosts", Host);
  for (const { name, id } of hosts) {
    controlSimulator(simulatorOf(stack, name), { times: noTimes });
    await stack.client.send("PATCH", pathOf("hosts", id), Host, { body: { overcommitCpu: 16, overcommitMemory: 8 } });
  }
  await stack.json("push", await sampleIn(stack, "own", "base", 4), "base", "--version", "1", "--tag", "latest");
  const connection = await Connection.connect({ address: stack.env["TEMPORAL_ADDRESS"] ?? "" });
  const temporal = new Client({ connection, namespace: stack.env["TEMPORAL_NAMESPACE"] ?? "" });
  const nameOf = new Map(hosts.map(({ id, name }) => [id, name]));
  return {
    stack,
    ...poolsOf(stack),
    terminate: (workflowId: string) => temporal.workflow.getHandle(workflowId).terminate("by hand"),
    /** Somebody at the Mac. */
    prlctl: (hostId: string | null) => {
      const bin = join(simulatorOf(stack, nameOf.get(hostId ?? "") ?? ""), "bin");
      return openPrlctl({ prlctlPath: join(bin, "prlctl"), prlsrvctlPath: join(bin, "prlsrvctl") });
    },
    query: async (text: string) => {
      const { sql, close } = openDatabase(stack.env["DATABASE_URL"] ?? "");
      return sql.unsafe(text).finally(close);
    },
    close: async () => {
      await connection.close();
      await stack.close();
    },
  };
}
export const noTimes = Object.fromEntries(Object.keys(usualControl.times).map((name) => [name, 0])) as typeof usualControl.times;

function poolsOf({ client }: TestStack) {
  const show = (name: string) => client.get(pathOf("pools", name), PoolDetail);
  return {
    show,
    create: (name: string, more: object = {}) =>
      client.send("POST", "/pools", Pool, { body: { name, image: { catalogId: "base" }, ...small, ...more } }),
    edit: (name: string, body: object) => client.send("PATCH", pathOf("pools", name), Pool, { body }),
    end: (name: string, leases: "wait" | "end") => client.send("DELETE", pathOf("pools", name), Pool, { query: { leases } }),
    lease: (name: string, body: object = {}, key: string = crypto.randomUUID()) =>
      client.send("POST", pathOf("pools", name, "lease"), Lease, { body, key }),
    release: (name: string, lease: string) => client.send("DELETE", pathOf("pools", name, "leases", lease), Operation),
    machine: (id: string) => client.get(pathOf("machines", id), Machine),
    isGone: async (name: string) => !(await client.list("/pools", Pool)).some((pool) => pool.name === name),
    until: (name: string, what: string, wanted: (detail: Detail) => boolean) =>
      until(`${name}: ${what}`, async () => {
        const detail = await show(name);
        return wanted(detail)
          ? detail
          : JSON.stringify({ ...detail, machines: detail.machines.map(({ standing, reason }) => [standing, reason]) });
      }),
  };
}

/** A text says how it is meanwhile. */
export async function until<T>(what: string, look: () => Promise<T | string>, withinMs = 120_000): Promise<T> {
  for (const end = Date.now() + withinMs; ; await delay(100)) {
    const found = await look();
    if (typeof found !== "string") return found;
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}; it is ${found}`);
  }
}
