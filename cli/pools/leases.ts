/** `drover pool lease|release`: the beginning and the end of a lease. */
import { setTimeout as after } from "node:timers/promises";
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import type { Lease as LeaseShape } from "../../domain/pools/schema.ts";
import { pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../exit-codes.ts";
import { took } from "../operations/await.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { list, time } from "../output/format.ts";
import { given, milliseconds, seconds } from "../values.ts";
import { Lease, Machine, Operation, type OperationDetail } from "../wire.ts";

const Leasing = z.object({ ttl: seconds.optional(), wait: milliseconds.default(0) });
/** A pool that refills has a machine every few seconds. */
const askAgainMs = 1_000;

export async function leaseMachine(context: Context, [pool = ""]: readonly string[], raw: unknown): Promise<number> {
  const { ttl, wait } = given(Leasing, raw);
  const waiting = waitingOf(raw);
  const client = await context.hub();
  const body = ttl === undefined ? {} : { ttlSeconds: ttl };
  let lease = await leaseWithin(client, { pool, body, until: Date.now() + wait });
  const words = () => describe(lease);
  if (lease.operation === null) {
    context.show(lease, words);
    return exitCodes.done.code;
  }
  // Its address is known once it has resumed.
  const onState = async ({ state }: OperationDetail) => {
    if (state === "done") lease = { ...lease, machine: await client.get(pathOf("machines", lease.machine.id), Machine) };
  };
  return seeThrough(context, client, {
    operation: lease.operation,
    waiting,
    onState,
    words,
    value: (operation) => ({ ...lease, operation }),
  });
}

/** The same request again as long as the pool is empty: with one key, so that it gets one machine even where an answer was lost. */
async function leaseWithin(client: Client, { pool, body, until }: { pool: string; body: object; until: number }): Promise<LeaseShape> {
  const key = crypto.randomUUID();
  for (;;) {
    try {
      return await client.send("POST", pathOf("pools", pool, "lease"), Lease, { body, key });
    } catch (error) {
      if (!(error instanceof FaultError) || error.fault.code !== "pool_empty" || Date.now() >= until) throw error;
      await after(askAgainMs);
    }
  }
}

const describe = ({ id, machine, expiresAt }: LeaseShape): string => {
  const at = machine.addresses.length === 0 ? "" : ` at ${list(machine.addresses)}`;
  return `${machine.name} is yours${at}${expiresAt ? ` until ${time(expiresAt)}` : ""} (machine ${machine.id}, lease ${id}).`;
};

export async function releaseMachine(context: Context, [pool = "", lease = ""]: readonly string[], raw: unknown): Promise<number> {
  const waiting = waitingOf(raw);
  const client = await context.hub();
  const operation = await client.send("DELETE", pathOf("pools", pool, "leases", lease), Operation);
  const words = (detail: OperationDetail) => `${detail.subject} is retired after ${took(detail)}.`;
  return seeThrough(context, client, { operation, waiting, words });
}
