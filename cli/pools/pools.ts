/** `drover pool create|list|show|edit|delete`. */
import { z } from "zod";
import { withoutAbsent } from "../../domain/fields.ts";
import { idleStates } from "../../domain/pools/rules.ts";
import type { Pool as PoolShape, PooledMachine } from "../../domain/pools/schema.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { ago, bytes, labels, list, span } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { byteSize, given, imageReference, pairs, seconds, wholeNumber } from "../values.ts";
import { Pool, PoolDetail } from "../wire.ts";

const ofImage = z.literal("image").transform(() => null);
const Options = z.object({
  image: z.string().optional(),
  cpus: ofImage.or(wholeNumber).optional(),
  memory: ofImage.or(byteSize).optional(),
  hostLabel: z.array(z.string()).optional(),
  label: z.array(z.string()).optional(),
  idle: wholeNumber.optional(),
  maximum: wholeNumber.optional(),
  leaseTime: seconds.optional(),
  idleState: z.enum(idleStates, `must be ${idleStates.join(" or ")}`).optional(),
  role: z.array(z.string()).optional(),
  claim: z.array(z.string()).optional(),
});

function wantedBy(raw: unknown): Record<string, unknown> {
  const { image, cpus, memory, hostLabel, label, idle, leaseTime, role, claim, ...same } = given(Options, raw);
  const wanted = {
    ...same,
    image: image === undefined ? undefined : imageReference(image),
    vcpus: cpus,
    memoryBytes: memory,
    hostLabels: hostLabel,
    labels: label === undefined ? undefined : given(z.object({ label: pairs }), { label }).label,
    minimumIdle: idle,
    leaseSeconds: leaseTime,
    requiredRoles: role,
    requiredClaims: claim,
  };
  return withoutAbsent(wanted);
}

export async function createPool(context: Context, [name = ""]: readonly string[], raw: unknown): Promise<void> {
  const wanted = wantedBy(raw);
  if (wanted["image"] === undefined) throw usageFault("Name the image with --image.", "drover pool create");
  const made = await (await context.hub()).send("POST", "/pools", Pool, { body: { name, ...wanted } });
  context.show(made, () => `${made.name} keeps ${made.minimumIdle} of ${imageOf(made)} ready, ${made.maximum} machines at most.`);
}

export async function editPool(context: Context, [name = ""]: readonly string[], raw: unknown): Promise<void> {
  const body = wantedBy(raw);
  if (Object.keys(body).length === 0) throw usageFault("Say what changes.", "drover pool edit");
  const changed = await (await context.hub()).send("PATCH", pathOf("pools", name), Pool, { body });
  context.show(changed, () => describe(changed));
}

export async function deletePool(context: Context, [name = ""]: readonly string[], raw: unknown): Promise<void> {
  const { endLeases } = given(z.object({ endLeases: z.boolean().default(false) }), raw);
  const query = { leases: endLeases ? "end" : "wait" };
  const ending = await (await context.hub()).send("DELETE", pathOf("pools", name), Pool, { query });
  const waits = endLeases || ending.leased === 0 ? "" : ` once its leases (${ending.leased}) have ended`;
  context.show(ending, () => `${ending.name} ends with its idle machines; it is gone${waits === "" ? " when they are" : waits}.`);
}

export async function listPools(context: Context): Promise<void> {
  const found = await (await context.hub()).list("/pools", Pool);
  const words = () =>
    table(
      found,
      [
        { title: "POOL", of: ({ name }) => name },
        { title: "IMAGE", of: imageOf },
        { title: "IDLE", of: ({ idle, minimumIdle }) => `${idle} of ${minimumIdle}` },
        { title: "MAKING", of: ({ making }) => making },
        { title: "LEASED", of: ({ leased }) => leased },
        { title: "AT MOST", of: ({ maximum }) => maximum },
        { title: "WHY FEWER", of: ({ shortfalls }) => shortfalls[0]?.message },
      ],
      "No machines are kept ready.",
    );
  context.show(found, words);
}

export async function showPool(context: Context, [name = ""]: readonly string[]): Promise<void> {
  const found = await (await context.hub()).get(pathOf("pools", name), PoolDetail);
  const machines = () =>
    table(
      found.machines,
      [
        { title: "MACHINE", of: (one: PooledMachine) => one.name },
        { title: "STANDING", of: ({ standing, isCurrent }) => (isCurrent ? standing : `${standing}, outdated`) },
        { title: "AT", of: ({ addresses }) => list(addresses) },
        { title: "LEASED BY", of: ({ leasedBy }) => leasedBy },
        { title: "ENDS", of: ({ expiresAt }) => ago(expiresAt) },
        { title: "LEASE", of: ({ leaseId }) => leaseId },
        { title: "REASON", of: ({ reason }) => reason },
      ],
      "It has no machines.",
    );
  context.show(found, () => `${describe(found)}\n\n${machines()}`);
}

const imageOf = ({ image: { catalogId, version, architecture } }: PoolShape): string =>
  [catalogId, version, architecture].filter((word) => word !== undefined).join("/");

const describe = (pool: PoolShape): string =>
  facts([
    ["pool", pool.name],
    ["state", pool.state],
    ["image", imageOf(pool)],
    ["size", list([pool.vcpus === null ? "" : `${pool.vcpus} vCPU`, bytes(pool.memoryBytes)].filter((word) => word !== ""))],
    ["on hosts", list(pool.hostLabels)],
    ["labels", labels(pool.labels)],
    ["idle", `${pool.idle} of ${pool.minimumIdle}, ${pool.idleState}`],
    ["being made", pool.making],
    ["leased", pool.leased],
    ["ending", pool.ending],
    ["at most", pool.maximum],
    ["a lease lasts", span(pool.leaseSeconds * 1000)],
    ["for roles", list(pool.requiredRoles)],
    ["for claims", list(pool.requiredClaims)],
    ["in the name of", pool.createdBy],
    ...pool.shortfalls.map(({ message, until }) => ["why fewer", until ? `${message} Next try ${ago(until)}.` : message] as const),
  ]);
