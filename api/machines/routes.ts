/** `/machines`: make, list, read, act on, amend, retire. What takes time answers with its operation. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { amendMachine, findMachine, lockVersion, noMachine } from "../../db/machines.ts";
import type { Page } from "../../db/pages.ts";
import { mayUse, type Needs } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError, ok, unwrap } from "../../domain/errors.ts";
import { withoutAbsent } from "../../domain/fields.ts";
import { HostId } from "../../domain/ids.ts";
import { Machine, MachineActionRequest, MachineState, NewMachine } from "../../domain/machines/schema.ts";
import type { Verb } from "../../domain/operations/rules.ts";
import { OnFault, Operation } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import { answerWritten, mustMatch } from "../middleware/conditional.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, pageOf, pageQuery, routesOf } from "../route.ts";
import { telling } from "../told.ts";
import { eitherTwin, mustGuard, mustOwn, type SnapshotAct } from "./owned.ts";

const tags = ["machines"];
const params = z.object({ idOrName: z.string().min(1).max(200) });
const words = z.array(z.string().trim().min(1).max(128)).max(64);
const Amendment = z
  .object({
    ttlSeconds: z
      .int()
      .positive()
      .max(365 * 86_400)
      .nullable()
      .optional()
      .meta({ description: "From now; null lets the machine live." }),
    expiresAt: z.iso.datetime({ offset: true }).nullable().optional(),
    labels: z.record(z.string().min(1).max(128), z.string().max(256)).optional(),
    description: z.string().max(4096).optional(),
    requiredRoles: words
      .optional()
      .meta({ description: "Any of them is enough to reach the machine; only its owner and super users change them." }),
    requiredClaims: words.optional(),
  })
  .refine(({ ttlSeconds, expiresAt }) => ttlSeconds === undefined || expiresAt === undefined, "ttlSeconds and expiresAt exclude each other")
  .meta({ id: "MachineAmendment" });

/** What an action asks of its caller. */
const changes: Needs = { claims: ["UPDATE_VM"] };
const states: Needs = { claims: ["UPDATE_VM_STATES"] };
const needs: Partial<Record<Verb, Needs>> = {
  start: states,
  stop: states,
  restart: states,
  suspend: states,
  resume: states,
  pause: states,
  reset: states,
  clone: { claims: ["CREATE_VM"] },
  execute: { claims: ["EXECUTE_COMMAND_VM"] },
};

const ofSnapshots: Partial<Record<Verb, SnapshotAct>> = {
  "snapshot-create": "create",
  "snapshot-list": "list",
  "snapshot-revert": "revert",
  "snapshot-delete": "delete",
};

export const machineRoutes = (hub: Hub) =>
  routesOf()
    .route("/", readRoutes(hub))
    .route("/", amendRoutes(hub))
    .route("/", makingRoutes(hub))
    .route("/", endingRoutes(hub))
    .route("/", actionRoutes(hub));

function readRoutes(hub: Hub) {
  const mayRead = authorised(hub, { claims: ["LIST_VM"] });
  const list = createRoute({
    method: "get",
    path: "/machines",
    operationId: "listMachines",
    summary: "List machines, newest first",
    tags,
    middleware: mayRead,
    request: {
      query: z.object({
        name: z.string().max(200).optional(),
        hostId: HostId.optional(),
        state: MachineState.optional(),
        image: z.string().max(512).optional(),
        ...pageQuery,
      }),
    },
    responses: { 200: json(pageOf(Machine), "One page."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/machines/{idOrName}",
    operationId: "getMachine",
    summary: "Get a machine by id or name",
    tags,
    middleware: mayRead,
    request: { params },
    responses: { 200: json(Machine, "The machine."), ...faults("machine_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => {
      const { cursor, limit, ...filter } = c.req.valid("query");
      const wanted = { ...filter, reader: actorOf(c) };
      const ask = { cursor, limit };
      return answerWritten<Page<Machine>>(c, {
        whole: () => hub.reads.machines.page(wanted, ask),
        version: () => hub.reads.machines.pageVersion(wanted, ask),
      });
    })
    .openapi(get, async (c) => {
      const { idOrName } = c.req.valid("param");
      const found = await hub.reads.machines.one(idOrName, actorOf(c));
      const machine = unwrap(found ? ok(found) : noMachine(idOrName));
      return answerWritten<Machine>(c, { whole: async () => machine });
    });
}

function amendRoutes(hub: Hub) {
  const amend = createRoute({
    method: "patch",
    path: "/machines/{idOrName}",
    operationId: "amendMachine",
    summary: "Change lifetime, labels or description",
    tags,
    middleware: authorised(hub, changes),
    request: { params, body: { required: true, ...json(Amendment, "What changes.") } },
    responses: { 200: json(Machine, "The machine."), ...faults("machine_not_found", "changed_meanwhile") },
  });

  return routesOf().openapi(amend, async (c) => {
    const { expiresAt, ttlSeconds, ...rest } = c.req.valid("json");
    const machine = unwrap(await findMachine(hub.db, c.req.valid("param").idOrName, { reader: actorOf(c) }));
    if (rest.requiredRoles ?? rest.requiredClaims) mustGuard(actorOf(c), machine);
    const until = expiresAt === undefined ? {} : { expiresAt: expiresAt === null ? null : new Date(expiresAt) };
    const told = {
      type: "machine",
      name: "machine.amended",
      subjectId: machine.id,
      subject: machine.name,
      body: { name: machine.name },
    } as const;
    const amended = await telling(hub, askedBy(c), told, async (tx) => {
      mustMatch(c, await lockVersion(tx, machine.id), machine.name);
      return amendMachine(tx, machine.id, { ...withoutAbsent(rest), ...until, ttlSeconds });
    });
    if (!amended)
      throw new FaultError({ code: "machine_not_found", message: `There is no machine ${machine.name}.`, subject: machine.name });
    return c.json(amended, 200);
  });
}

const Accepted = z.object({ operation: Operation, machine: Machine });

function makingRoutes(hub: Hub) {
  const create = createRoute({
    method: "post",
    path: "/machines",
    operationId: "createMachine",
    summary: "Make a machine from an image",
    tags,
    middleware: authorised(hub, { claims: ["CREATE_VM"] }),
    request: { headers: idempotent, body: { required: true, ...json(NewMachine, "What to make.") } },
    responses: {
      202: json(
        Accepted.extend({
          items: z.array(Accepted).optional().meta({ description: "With `count`: all, of which the first stands beside." }),
        }),
        "Accepted.",
      ),
      ...faults("image_not_found", "machine_exists", "no_capacity", "image_tainted", "quota_exceeded", "idempotency_conflict"),
    },
  });

  return routesOf().openapi(create, async (c) => {
    const wanted = c.req.valid("json");
    const { count } = wanted;
    if (count === undefined) return c.json(unwrap(await hub.operations.provision(wanted, askedBy(c, wanted))), 202);
    const items = unwrap(await hub.operations.provisionMany({ ...wanted, count }, askedBy(c, wanted)));
    const [first] = items;
    if (!first) throw new FaultError({ code: "internal", message: "No machine was accepted." });
    return c.json({ ...first, items }, 202);
  });
}

function endingRoutes(hub: Hub) {
  const retire = createRoute({
    method: "delete",
    path: "/machines/{idOrName}",
    operationId: "retireMachine",
    summary: "Retire a machine",
    tags,
    middleware: authorised(hub, { claims: ["DELETE_VM"] }),
    request: {
      params,
      query: z.object({
        force: z.enum(["true", "false"]).default("false"),
        keepBundle: z
          .enum(["true", "false"])
          .default("false")
          .meta({ description: "Forget the machine and keep its files: unregistered, and no longer marked as ours." }),
        onFault: OnFault.default("park"),
      }),
      headers: idempotent,
    },
    responses: {
      202: json(Operation, "Accepted; a second request answers with the first one's operation."),
      ...faults("machine_not_found", "machine_busy", "machine_state", "machine_cloned", "machine_linked"),
    },
  });

  return routesOf().openapi(retire, async (c) => {
    const { force, keepBundle, onFault } = c.req.valid("query");
    const how = { force: force === "true", ...(keepBundle === "true" ? { keepsBundle: true } : {}) };
    const asked = { ...askedBy(c, { ...how, onFault }), onFault };
    return c.json(unwrap(await hub.operations.retire(c.req.valid("param").idOrName, how, asked)), 202);
  });
}

function actionRoutes(hub: Hub) {
  const act = createRoute({
    method: "post",
    path: "/machines/{idOrName}/actions",
    operationId: "actOnMachine",
    summary: "Do something to a machine",
    tags,
    middleware: authorised(hub, {}),
    request: { params, headers: idempotent, body: { required: true, ...json(MachineActionRequest, "What to do.") } },
    responses: {
      202: json(Operation, "Accepted."),
      ...faults("machine_not_found", "machine_busy", "machine_state", "no_capacity", "idempotency_conflict"),
    },
  });

  return routesOf().openapi(act, async (c) => {
    const { onFault, ...action } = c.req.valid("json");
    const { idOrName } = c.req.valid("param");
    await mustBeAllowed(hub, actorOf(c), action.verb, idOrName);
    return c.json(unwrap(await hub.operations.act(idOrName, action, { ...askedBy(c, { ...action, onFault }), onFault })), 202);
  });
}

async function mustBeAllowed({ db }: Hub, actor: Actor, verb: Verb, idOrName: string): Promise<void> {
  const act = ofSnapshots[verb];
  const verdict = mayUse(actor, act ? eitherTwin(act) : (needs[verb] ?? changes));
  if (!verdict.ok) throw new FaultError(verdict.fault);
  if (act) mustOwn(actor, unwrap(await findMachine(db, idOrName, { reader: actor })), act);
}
