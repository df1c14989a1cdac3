/**
 * `/projects`: what each may have, what it has, and who belongs to it.
 *
 * The one idea: everybody sees the limits and the use of their own project, since those decide what they may ask for; only super users change them.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { addProject, findProject, listProjects, setQuota } from "../../db/projects.ts";
import { changeUser } from "../../db/users.ts";
import { Project, ProjectId, Quota } from "../../domain/access/projects.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError, refuse, unwrap } from "../../domain/errors.ts";
import { withoutAbsent } from "../../domain/fields.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, pageOf, routesOf } from "../route.ts";
import { telling, type Told } from "../told.ts";
import { foundUser } from "./given.ts";

const tags = ["access"];
const params = z.object({ project: ProjectId });
const changed = { 200: json(Project, "As it is now."), ...faults("project_not_found") };

export const projectRoutes = (hub: Hub) =>
  routesOf().route("/", readRoutes(hub)).route("/", changeRoutes(hub)).route("/", memberRoutes(hub));

function readRoutes(hub: Hub) {
  const list = createRoute({
    method: "get",
    path: "/projects",
    operationId: "listProjects",
    summary: "List projects with their quotas and what they use: one's own, or all for super users",
    tags,
    middleware: authorised(hub, {}),
    responses: { 200: json(pageOf(Project), "All that the caller sees."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/projects/{project}",
    operationId: "getProject",
    summary: "Get a project with its quota and what it uses",
    tags,
    middleware: authorised(hub, {}),
    request: { params },
    responses: { 200: json(Project, "The project."), ...faults("project_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => {
      const actor = actorOf(c);
      return c.json({ items: (await listProjects(hub.db)).filter(({ id }) => sees(actor, id)), nextCursor: null }, 200);
    })
    .openapi(get, async (c) => c.json(await found(hub, c.req.valid("param").project, actorOf(c)), 200));
}

const sees = ({ isSuperUser, project }: Actor, id: string): boolean => isSuperUser || project === id;

async function found({ db }: Hub, id: string, actor: Actor): Promise<Project> {
  if (sees(actor, id)) return unwrap(await findProject(db, id));
  return unwrap<Project>(refuse({ code: "project_not_found", message: `There is no project ${id}.`, subject: id }));
}

const told = (name: string, id: string, body: Record<string, unknown> = {}): Told => ({
  type: "access",
  name: `project.${name}`,
  subjectId: id,
  subject: id,
  body: { project: id, ...body },
});

function changeRoutes(hub: Hub) {
  const add = createRoute({
    method: "post",
    path: "/projects",
    operationId: "addProject",
    summary: "Make a project, without limits",
    tags,
    middleware: authorised(hub, { superUser: true }),
    request: { body: { required: true, ...json(z.object({ id: ProjectId }).meta({ id: "NewProject" }), "What it is called.") } },
    responses: { 201: json(Project, "The project."), ...faults("project_exists") },
  });
  const limit = createRoute({
    method: "put",
    path: "/projects/{project}/quota",
    operationId: "setQuota",
    summary: "Set what a project may have; what it has already stays",
    tags,
    middleware: authorised(hub, { superUser: true }),
    request: { params, body: { required: true, ...json(Quota.partial().meta({ id: "QuotaChange" }), "The limits that change.") } },
    responses: changed,
  });

  return routesOf()
    .openapi(add, async (c) => {
      const { id } = c.req.valid("json");
      await telling(hub, askedBy(c), told("added", id), async (tx) => {
        if (!(await addProject(tx, id)))
          throw new FaultError({ code: "project_exists", message: `There is a project ${id} already.`, subject: id });
      });
      return c.json(unwrap(await findProject(hub.db, id)), 201);
    })
    .openapi(limit, async (c) => {
      const { id, quota } = unwrap(await findProject(hub.db, c.req.valid("param").project));
      const wanted = { ...quota, ...withoutAbsent(c.req.valid("json")) };
      await telling(hub, askedBy(c), told("quota", id, wanted), (tx) => setQuota(tx, id, wanted));
      return c.json(unwrap(await findProject(hub.db, id)), 200);
    });
}

function memberRoutes(hub: Hub) {
  const move = createRoute({
    method: "put",
    path: "/projects/{project}/users/{user}",
    operationId: "moveUser",
    summary: "Let a user belong to a project, and to no other; what it owns stays where it is",
    tags,
    middleware: authorised(hub, { superUser: true }),
    request: { params: params.extend({ user: z.string().min(1).max(256) }) },
    responses: { 200: json(Project, "As it is now."), ...faults("project_not_found", "user_not_found") },
  });

  return routesOf().openapi(move, async (c) => {
    const { project: word, user: name } = c.req.valid("param");
    const { id } = unwrap(await findProject(hub.db, word));
    const user = await foundUser(hub, name, actorOf(c));
    const moved = told("user_moved", id, { userId: user.id, from: user.project });
    await telling(hub, askedBy(c), { ...moved, subject: `${id}: ${user.username}` }, (tx) => changeUser(tx, user.id, { project: id }));
    return c.json(unwrap(await findProject(hub.db, id)), 200);
  });
}
