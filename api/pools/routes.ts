/**
 * `/pools`: machines that are ready before they are asked for, and their leases.
 *
 * The one idea: whoever may make machines may keep pools and lease from them; a pool's own roles and claims say which of those, as with machines.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { lookAt, pooledOf, poolOf } from "../../control/pools.ts";
import { holderOf } from "../../control/start.ts";
import { changePool, endPool, findPool, insertPool, listPools } from "../../db/pools.ts";
import { unwrap } from "../../domain/errors.ts";
import { withoutAbsent } from "../../domain/fields.ts";
import { Operation } from "../../domain/operations/schema.ts";
import { Lease, NewLease, NewPool, Pool, PoolChange, PoolDetail } from "../../domain/pools/schema.ts";
import { faults, json } from "../http.ts";
import { mustGuard } from "../machines/owned.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, pageOf, routesOf } from "../route.ts";
import { audited } from "../told.ts";

const tags = ["pools"];
const params = z.object({ name: z.string().min(1).max(63) });

export const poolRoutes = (hub: Hub) =>
  routesOf().route("/", readRoutes(hub)).route("/", keepRoutes(hub)).route("/", endRoutes(hub)).route("/", leaseRoutes(hub));

function readRoutes(hub: Hub) {
  const mayRead = authorised(hub, { claims: ["LIST_VM"] });
  const list = createRoute({
    method: "get",
    path: "/pools",
    operationId: "listPools",
    summary: "List pools with how many machines wait, and why fewer than should",
    tags,
    middleware: mayRead,
    responses: { 200: json(pageOf(Pool), "By name."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/pools/{name}",
    operationId: "getPool",
    summary: "Get a pool with its machines and leases",
    tags,
    middleware: mayRead,
    request: { params },
    responses: { 200: json(PoolDetail, "The pool."), ...faults("pool_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => {
      const items: Pool[] = [];
      for (const kept of await listPools(hub.db, actorOf(c))) items.push(poolOf(await lookAt(hub.db, kept)));
      return c.json({ items, nextCursor: null }, 200);
    })
    .openapi(get, async (c) => {
      const look = await lookAt(hub.db, await findPool(hub.db, c.req.valid("param").name, actorOf(c)));
      return c.json({ ...poolOf(look), machines: pooledOf(look) }, 200);
    });
}

function keepRoutes(hub: Hub) {
  const mayKeep = authorised(hub, { claims: ["CREATE_VM"] });
  const create = createRoute({
    method: "post",
    path: "/pools",
    operationId: "createPool",
    summary: "Keep machines of an image ready",
    tags,
    middleware: mayKeep,
    request: { body: { required: true, ...json(NewPool, "Which machines, and how many.") } },
    responses: { 201: json(Pool, "The pool; its machines are made from now on."), ...faults("pool_exists") },
  });
  const edit = createRoute({
    method: "patch",
    path: "/pools/{name}",
    operationId: "editPool",
    summary: "Change a pool; machines that wait are replaced where they would be made otherwise now",
    tags,
    middleware: mayKeep,
    request: { params, body: { required: true, ...json(PoolChange, "What changes.") } },
    responses: { 200: json(Pool, "The pool."), ...faults("pool_not_found", "pool_ending") },
  });

  return routesOf()
    .openapi(create, async (c) => {
      const wanted = c.req.valid("json");
      const actor = actorOf(c);
      const by = { project: actor.project, holder: holderOf(actor), owner: actor.userId, createdBy: actor.username };
      const kept = await audited(hub, askedBy(c), { action: "pool.added", subject: wanted.name }, (tx) => insertPool(tx, wanted, by));
      hub.pools.wake(kept.pool);
      return c.json(poolOf(await lookAt(hub.db, kept)), 201);
    })
    .openapi(edit, async (c) => {
      const change = withoutAbsent(c.req.valid("json"));
      const { name } = c.req.valid("param");
      const actor = actorOf(c);
      const kept = await audited(hub, askedBy(c), { action: "pool.changed", subject: name }, async (tx) => {
        const found = await findPool(tx, name, actor, { lock: true });
        if (change.requiredRoles ?? change.requiredClaims) mustGuard(actor, found.pool);
        return changePool(tx, found, change, holderOf(actor));
      });
      hub.pools.wake(kept.pool);
      return c.json(poolOf(await lookAt(hub.db, kept)), 200);
    });
}

function endRoutes(hub: Hub) {
  const end = createRoute({
    method: "delete",
    path: "/pools/{name}",
    operationId: "deletePool",
    summary: "End a pool: its idle machines are retired, and it goes when its last lease has ended",
    tags,
    middleware: authorised(hub, { claims: ["DELETE_VM"] }),
    request: {
      params,
      query: z.object({
        leases: z.enum(["wait", "end"]).default("wait").meta({ description: "Wait until leases end by themselves, or end them now." }),
      }),
    },
    responses: { 202: json(Pool, "It ends; once it is gone it is not found any more."), ...faults("pool_not_found") },
  });

  return routesOf().openapi(end, async (c) => {
    const { name } = c.req.valid("param");
    const endsLeases = c.req.valid("query").leases === "end";
    const kept = await audited(hub, askedBy(c), { action: "pool.removed", subject: name }, async (tx) =>
      endPool(tx, await findPool(tx, name, actorOf(c), { lock: true }), endsLeases),
    );
    hub.pools.wake(kept.pool);
    return c.json(poolOf(await lookAt(hub.db, kept)), 202);
  });
}

function leaseRoutes(hub: Hub) {
  const mayLease = authorised(hub, { claims: ["CREATE_VM"] });
  const lease = createRoute({
    method: "post",
    path: "/pools/{name}/lease",
    operationId: "leaseMachine",
    summary: "Take an idle machine for oneself; it is retired when the lease ends",
    tags,
    middleware: mayLease,
    request: { params, headers: idempotent, body: { required: false, ...json(NewLease, "For how long.") } },
    responses: {
      201: json(Lease, "The machine is the caller's own from now on."),
      ...faults("pool_not_found", "pool_empty", "pool_ending", "lease_not_found", "no_capacity", "idempotency_conflict"),
    },
  });
  const release = createRoute({
    method: "delete",
    path: "/pools/{name}/leases/{lease}",
    operationId: "releaseMachine",
    summary: "Give a leased machine back: it is retired, and the pool makes another",
    tags,
    middleware: mayLease,
    request: {
      params: params.extend({ lease: z.string().min(1).max(200).meta({ description: "The lease's id, or its machine's id or name." }) }),
    },
    responses: { 202: json(Operation, "The machine is retired."), ...faults("pool_not_found", "lease_not_found", "machine_cloned") },
  });

  return routesOf()
    .openapi(lease, async (c) => {
      const wanted = c.req.valid("json") ?? {};
      return c.json(unwrap(await hub.pools.lease(c.req.valid("param").name, wanted, askedBy(c, wanted))), 201);
    })
    .openapi(release, async (c) => {
      const { name, lease: id } = c.req.valid("param");
      return c.json(unwrap(await hub.pools.release(name, id, askedBy(c))), 202);
    });
}
