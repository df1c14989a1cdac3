/** What people do with projects. */
import { z } from "zod";
import type { Quota, Usage } from "../../domain/access/projects.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { usageFault } from "../problem.ts";
import { bytes } from "../output/format.ts";
import { table } from "../output/table.ts";
import { byteSize, given, wholeNumber } from "../values.ts";
import { Project } from "../wire.ts";

type What = keyof Usage;
const titles: ReadonlyArray<readonly [What, string]> = [
  ["machines", "MACHINES"],
  ["vcpus", "CPUS"],
  ["memoryBytes", "MEMORY"],
  ["storageBytes", "STORAGE"],
];
const shown = (what: What, count: number): string => (what.endsWith("Bytes") ? bytes(count) : String(count));
const usedOf = (what: What, { used, quota }: Project): string => {
  const limit = quota[what];
  return limit === null ? shown(what, used[what]) : `${shown(what, used[what])} of ${shown(what, limit)}`;
};

export async function listProjects(context: Context): Promise<void> {
  const found = await (await context.hub()).list("/projects", Project);
  const columns = [
    { title: "PROJECT", of: ({ id }: Project) => id },
    { title: "USERS", of: ({ users }: Project) => String(users) },
    ...titles.map(([what, title]) => ({ title, of: (project: Project) => usedOf(what, project) })),
  ];
  context.show(found, () => table(found, columns, "No projects."));
}

export async function addProject(context: Context, [id = ""]: readonly string[]): Promise<void> {
  const made = await (await context.hub()).send("POST", "/projects", Project, { body: { id } });
  context.show(made, () => `Made the project ${made.id}, without limits.`);
}

export async function joinProject(context: Context, [id = "", user = ""]: readonly string[]): Promise<void> {
  const joined = await (await context.hub()).send("PUT", pathOf("projects", id, "users", user), Project);
  context.show(joined, () => `${user} belongs to ${joined.id} from now on.`);
}

export async function showQuota(context: Context, [id = ""]: readonly string[]): Promise<void> {
  show(context, await (await context.hub()).get(pathOf("projects", id), Project));
}

const none = z.literal("none").transform(() => null);
const Limits = z.object({
  machines: none.or(wholeNumber).optional(),
  cpus: none.or(wholeNumber).optional(),
  memory: none.or(byteSize).optional(),
  storage: none.or(byteSize).optional(),
});

export async function setQuota(context: Context, [id = ""]: readonly string[], options: unknown): Promise<void> {
  const { machines, cpus: vcpus, memory: memoryBytes, storage: storageBytes } = given(Limits, options);
  const body: { [K in keyof Quota]?: Quota[K] | undefined } = { machines, vcpus, memoryBytes, storageBytes };
  if (Object.values(body).every((limit) => limit === undefined))
    throw usageFault("Name at least one limit.", `drover project quota set ${id} --machines 40`);
  show(context, await (await context.hub()).send("PUT", pathOf("projects", id, "quota"), Project, { body }));
}

function show(context: Context, project: Project): void {
  const columns = [
    { title: "WHAT", of: ([, title]: (typeof titles)[number]) => title.toLowerCase() },
    { title: "USED", of: ([what]: (typeof titles)[number]) => shown(what, project.used[what]) },
    { title: "LIMIT", of: ([what]: (typeof titles)[number]) => limitOf(what, project.quota[what]) },
  ];
  context.show(project, () => table(titles, columns, ""));
}

const limitOf = (what: What, limit: number | null): string => (limit === null ? "none" : shown(what, limit));
