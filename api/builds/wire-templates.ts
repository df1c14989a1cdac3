/**
 * The wire's Packer templates.
 *
 * The one idea: they are kept and shown to whoever may see them; nothing is built from one, and a request for a machine made of a template says so.
 */
import { z } from "zod";
import {
  changeTemplate,
  findTemplate,
  insertTemplate,
  listTemplates,
  removeTemplate,
  type PackerTemplate,
  type PackerTemplateValues,
} from "../../db/templates.ts";
import type { Database } from "../../db/connect.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { maySee } from "../../domain/catalog/rules.ts";
import type { Hub } from "../ports.ts";
import { audited } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Mount } from "../wire/mount.ts";
import { present } from "../wire/present.ts";

/** Settings of a build are short; a template is no store for files. */
const word = z.string().max(4096);
const text = word.default("");
const pairs = z.record(z.string().max(256), word).default({});
const list = z.array(z.string().max(256)).max(256).default([]);
const CreatePackerTemplateRequest = z
  .object({
    id: z.string().max(256).default(""),
    name: z.string().max(256).default(""),
    description: text,
    packer_folder: text,
    variables: pairs,
    addons: list,
    specs: pairs,
    defaults: pairs,
    internal: z.boolean().default(false),
    required_roles: list,
    required_claims: list,
  })
  .meta({ id: "CreatePackerTemplateRequest" });
const shownPairs = z.record(z.string(), z.string()).optional();
const shownList = z.array(z.string()).optional();
const PackerTemplateResponse = z
  .object({
    id: z.string(),
    name: z.string(),
    description: z.string().optional(),
    packer_folder: z.string(),
    variables: shownPairs,
    addons: shownList,
    specs: shownPairs,
    defaults: shownPairs,
    internal: z.boolean().optional(),
    updated_at: z.string().optional(),
    created_at: z.string().optional(),
    required_roles: shownList,
    required_claims: shownList,
  })
  .meta({ id: "PackerTemplateResponse" });

const tag = "packer templates";
/** What a template says of its machine where it says nothing. */
const usualSpecs = { memory: "2048", cpu: "2", disk: "20480" };

export function templateWireRoutes(hub: Hub, mount: Mount): void {
  readRoutes(hub, mount);
  changeRoutes(hub, mount);
}

function readRoutes(hub: Hub, mount: Mount): void {
  const needs = { claims: ["LIST_PACKER_TEMPLATE"] } as const;
  mount(
    "get",
    "/templates/packer",
    "List Packer templates",
    { tag, needs, status: 200, reply: z.array(PackerTemplateResponse) },
    async ({ c, actor }) => {
      const templates = await listTemplates(hub.db, actor.project);
      return filtered(templates.filter((one) => isSeen(one, actor)).map(shown), c.req.header("X-Filter"));
    },
  );
  mount(
    "get",
    "/templates/packer/{id}",
    "Get a Packer template",
    { tag, needs, status: 200, reply: PackerTemplateResponse },
    async (call) => shown(await mustFind(hub.db, call.actor, call.param("id"))),
  );
}

function changeRoutes(hub: Hub, mount: Mount): void {
  const common = { tag, status: 200, body: CreatePackerTemplateRequest, reply: PackerTemplateResponse } as const;
  mount(
    "post",
    "/templates/packer",
    "Keep a Packer template",
    { ...common, needs: { claims: ["CREATE_PACKER_TEMPLATE"] } },
    async ({ asked, actor, body }) => {
      if (body.id === "") throw refusal(400, "Invalid request body: error 400: missing id");
      const values = valuesOf(body, actor);
      return audited(hub, asked, { action: "template.added", subject: body.id }, async (tx) => {
        const made = await insertTemplate(tx, actor.project, body.id, values);
        if (!made) throw refusal(400, `error 400: the packer template ${body.id} already exists`);
        return shown(made);
      });
    },
  );
  mount(
    "put",
    "/templates/packer/{id}",
    "Change a Packer template",
    { ...common, needs: { claims: ["UPDATE_PACKER_TEMPLATE"] } },
    async ({ asked, actor, body, param }) => {
      const values = valuesOf(body, actor);
      return audited(hub, asked, { action: "template.changed", subject: param("id") }, async (tx) => {
        const changed = await changeTemplate(tx, await mustOwn(tx, actor, param("id")), values);
        if (!changed) throw noTemplate();
        return shown(changed);
      });
    },
  );
  mount(
    "delete",
    "/templates/packer/{id}",
    "Remove a Packer template",
    { tag, needs: { claims: ["DELETE_PACKER_TEMPLATE"] }, status: 202 },
    async ({ asked, actor, param }) =>
      audited(hub, asked, { action: "template.removed", subject: param("id") }, async (tx) =>
        removeTemplate(tx, await mustOwn(tx, actor, param("id"))),
      ),
  );
}

const isSeen = (template: PackerTemplate, actor: Actor): boolean => maySee(template, { ...actor, everything: actor.isSuperUser });
const noTemplate = () => refusal(404, "error 404: packer template not found");

/** One that the caller may not see is not there. */
async function mustFind(db: Database, actor: Actor, id: string, how: { lock?: boolean } = {}): Promise<PackerTemplate> {
  const found = await findTemplate(db, actor.project, id, how);
  if (found && isSeen(found, actor)) return found;
  throw noTemplate();
}

async function mustOwn(tx: Database, actor: Actor, id: string): Promise<PackerTemplate> {
  const found = await mustFind(tx, actor, id, { lock: true });
  if (found.internal) throw refusal(400, "error 400: an internal template cannot be changed or removed");
  return found;
}

function valuesOf(body: z.output<typeof CreatePackerTemplateRequest>, actor: Actor): PackerTemplateValues {
  const { name, description, variables, addons, specs, defaults, internal } = body;
  if (name === "") throw refusal(400, "Invalid request body: error 400: missing name");
  if (internal && !actor.isSuperUser) throw refusal(400, "Invalid request body: error 400: only a super user makes internal templates");
  const required = { requiredRoles: body.required_roles, requiredClaims: body.required_claims };
  const own = { name, description, packerFolder: body.packer_folder, variables, addons, defaults, internal, ...required };
  return { ...own, specs: Object.keys(specs).length === 0 ? usualSpecs : specs };
}

const filled = (values: Record<string, string>) => (Object.keys(values).length === 0 ? null : values);

const shown = (template: PackerTemplate): z.input<typeof PackerTemplateResponse> => ({
  id: template.id,
  name: template.name,
  packer_folder: template.packerFolder,
  ...present({
    description: template.description,
    variables: filled(template.variables),
    addons: template.addons,
    specs: filled(template.specs),
    defaults: filled(template.defaults),
    internal: template.internal,
    required_roles: template.requiredRoles,
    required_claims: template.requiredClaims,
  }),
  created_at: template.createdAt.toISOString(),
  updated_at: template.updatedAt.toISOString(),
});
