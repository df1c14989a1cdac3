/**
 * So many malformed requests, one after the other, and what was wrong with their answers.
 *
 * The one idea: an answer may refuse in any way that it likes, but it comes soon, it is no fault of the server, and it tells nothing of its insides.
 */
import { serveApi } from "../../../api/serve.ts";
import { openApiDocument } from "../../../api/docs.ts";
import { rootPassword } from "../../api/world.ts";
import { recipesFor } from "../../contract/recipes.ts";
import { requestFor } from "../../contract/requests.ts";
import { routesOf } from "../../contract/routes.ts";
import { openContract, type Contract } from "../../contract/world.ts";
import { randomFrom } from "../../crash/random.ts";
import { malformed, type Raw, type Schema, type Template } from "./generator.ts";
import { overTheLine, type Came } from "./line.ts";

export interface Round {
  readonly count: number;
  readonly seed: number;
  /** Longer than this nothing may take. */
  readonly limitMs: number;
}

/** Routes that ask somebody else, who is not there: that is told as 502 or 503. */
const asksOthers =
  /\/(stores|login\/provider|identity\/providers|(images|machines)\/.*\/archive|catalog-managers|catalog|images\/import|webhooks|ssh)(\/|$)/;
const stack = /\n\s+at |node_modules|\.ts:\d+|drizzle|postgres\.js|Error: |select .* from "/;

export async function openMalformed() {
  const contract = await openContract();
  const served = await serveApi((request, connection) => contract.serve(request, connection), { host: "127.0.0.1", port: 0 });
  const templates = templatesOf(contract);
  const { admin, reader } = contract.callers;

  /** What was wrong, each with what brings it back. */
  async function round({ count, seed, limitMs }: Round): Promise<{ wrong: string[]; statuses: Map<number, number> }> {
    const random = randomFrom(seed);
    const wrong: string[] = [];
    const statuses = new Map<number, number>();
    for (let sent = 0; sent < count; sent += 1) {
      // Every route comes up, whatever chance says.
      const template = templates[sent % templates.length];
      if (!template) break;
      const raw = malformed(template, random);
      const token = (random.next() < 0.5 ? admin : reader).token;
      const came = await overTheLine(served.port, raw, { token, limitMs });
      statuses.set(came.status, (statuses.get(came.status) ?? 0) + 1);
      for (const fault of faultsOf(raw, came, [rootPassword, admin.token, reader.token]))
        wrong.push(`${sent}: ${fault}\n  ${shortOf(raw)}`);
    }
    return { wrong, statuses };
  }

  const close = async () => {
    await served.close(0);
    await contract.close();
  };
  return { round, port: served.port, close };
}

function faultsOf(raw: Raw, { status, text, ms, hung }: Came, secrets: readonly string[]): string[] {
  const told = text.slice(0, 300);
  const route = (raw.path.split(/[?#]/)[0] ?? "").replaceAll(/\/+/g, "/");
  const away = (status === 502 || status === 503) && asksOthers.test(route);
  return [
    ...(hung ? [`no answer within ${Math.round(ms)} ms`] : []),
    ...(status >= 500 && !away ? [`${status}: ${told}`] : []),
    ...(stack.test(text) ? [`it shows its insides: ${told}`] : []),
    ...(secrets.some((secret) => text.includes(secret)) ? [`it tells a secret: ${told}`] : []),
  ];
}

const shortOf = ({ name, method, path, headers, body }: Raw): string =>
  `${name} as ${method} ${path.slice(0, 300)} ${JSON.stringify(headers).slice(0, 300)} ${JSON.stringify(body.toString()).slice(0, 500)}`;

type Operation = Readonly<{
  parameters?: readonly { in: string; name: string }[];
  requestBody?: { content: Readonly<Record<string, { schema?: unknown }>> };
}>;

function templatesOf({ app, targets }: Contract): Template[] {
  const document = openApiDocument(app, "0") as { paths: Record<string, Record<string, Operation | undefined> | undefined> };
  const recipes = recipesFor(targets);
  return routesOf(app).map((route) => {
    const { name, method, path } = route;
    const { path: right, body } = requestFor(route, targets, recipes);
    const described = document.paths[path]?.[method.toLowerCase()];
    const queries = described?.parameters?.flatMap((one) => (one.in === "query" ? [one.name] : [])) ?? [];
    const schema = Object.values(described?.requestBody?.content ?? {})[0]?.schema;
    return { name, method, path: right, body, queries, schema: schema === undefined ? undefined : followed(document, schema, 0) };
  });
}

/** The schema with what its references name, as deep as bodies go. */
function followed(document: object, schema: unknown, depth: number): Schema {
  if (typeof schema !== "object" || schema === null || depth > 12) return {};
  if (Array.isArray(schema)) return schema.map((item) => followed(document, item, depth + 1)) as unknown as Schema;
  if ("$ref" in schema && typeof schema.$ref === "string") {
    const found = schema.$ref
      .split("/")
      .slice(1)
      .reduce<unknown>((at, key) => (typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined), document);
    return followed(document, found, depth + 1);
  }
  const parts = Object.entries(schema).map(([key, part]) => [key, typeof part === "object" ? followed(document, part, depth + 1) : part]);
  return Object.fromEntries(parts) as Schema;
}
