/**
 * The compose file as Compose reads it: YAML with anchors and merges, then variables put in their places.
 *
 * The one idea: tests and the processes that they start read the very file that operators use, so the two cannot drift.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { z } from "zod";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const composeFile = "docker-compose.temporal.yml";

const Healthcheck = z.object({ test: z.array(z.string()).optional(), disable: z.boolean().optional() });
const Service = z.object({
  image: z.string(),
  build: z.object({ dockerfile: z.string(), target: z.string() }).optional(),
  restart: z.string().optional(),
  user: z.string().optional(),
  command: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).default({}),
  secrets: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  networks: z.array(z.string()).default([]),
  network_mode: z.string().optional(),
  cap_drop: z.array(z.string()).default([]),
  security_opt: z.array(z.string()).default([]),
  read_only: z.boolean().optional(),
  healthcheck: Healthcheck.optional(),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  deploy: z.object({ resources: z.object({ limits: z.object({ memory: z.string() }) }) }).optional(),
});
const Compose = z.object({
  services: z.record(z.string(), Service),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
  volumes: z.record(z.string(), z.unknown()),
  networks: z.record(z.string(), z.object({ internal: z.boolean().optional() })),
});
export type Service = z.infer<typeof Service>;
export type Compose = z.infer<typeof Compose>;

/** The file before variables are put in; `unknown`, since nothing has looked at it yet. */
export const readCompose = async (): Promise<unknown> =>
  parse(await readFile(join(root, composeFile), "utf8"), { merge: true, maxAliasCount: 200 }) as unknown;

export async function openCompose(env: Readonly<Record<string, string>>): Promise<Compose> {
  return Compose.parse(interpolated(await readCompose(), env));
}

/** `$$`, `${NAME}`, `${NAME:-default}` and `${NAME:?message}`, as Compose puts them in; anything else with a dollar is a mistake. */
const dollar = /\$(?:\$|\{(?<name>\w+)(?::(?<kind>[-?])(?<rest>[^}]*))?\}|(?<wrong>.?))/g;

export function interpolated(value: unknown, env: Readonly<Record<string, string>>): unknown {
  if (Array.isArray(value)) return value.map((one) => interpolated(one, env));
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, interpolated(one, env)]));
  if (typeof value !== "string") return value;
  return value.replace(dollar, (all: string, ...match: unknown[]) => {
    const { name, kind, rest = "" } = match.at(-1) as { name?: string; kind?: string; rest?: string };
    if (all === "$$") return "$";
    if (name === undefined) throw new Error(`${value} has a dollar sign that Compose does not know.`);
    const given = env[name] ?? "";
    if (given === "" && kind === "?") throw new Error(`${name} ${rest}`);
    return given === "" && kind === "-" ? rest : given;
  });
}

export interface Mention {
  readonly name: string;
  readonly isRequired: boolean;
}

/** Every variable that the file asks its surroundings for. */
export const mentions = (value: unknown): Mention[] =>
  [...JSON.stringify(value).matchAll(/(?<!\$)(?:\$\$)*\$\{(\w+)(:[-?])?/g)].map(([, name = "", kind]) => ({
    name,
    isRequired: kind === ":?",
  }));

/** The lines of a file like `.env`. */
export async function readEnv(path: string): Promise<Record<string, string>> {
  const lines = (await readFile(join(root, path), "utf8")).split("\n").filter((line) => /^\w+=/.test(line));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}
