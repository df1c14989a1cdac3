/**
 * Every route for every kind of caller: status, shape, and that nobody gets what the table does not grant.
 *
 * The one idea: the answers are expected in a file that people review line by line; the rest holds for all routes at once.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openApiDocument } from "../../api/docs.ts";
import { seededClaimIds } from "../../domain/access/claims.ts";
import { callerNames, guild, type CallerName } from "./callers.ts";
import { recipesFor } from "./recipes.ts";
import { requestFor, type Recipe } from "./requests.ts";
import { routesOf, ruleOf, type Route } from "./routes.ts";
import { filteredLists, hostileFilters, inOtherCase, lasting, withMoreSlashes } from "./spellings.ts";
import { differences, readTable, writeTable, type Line } from "./table.ts";
import { openContract, type Answered, type Contract, type Sent } from "./world.ts";

let contract: Contract;
let routes: Route[];
let recipes: Readonly<Record<string, Recipe>>;
interface Asked {
  readonly route: Route;
  readonly sent: Sent;
  readonly answers: Readonly<Record<CallerName, Answered>>;
}
const asked: Asked[] = [];
beforeAll(async () => {
  contract = await openContract();
  routes = routesOf(contract.app);
  recipes = recipesFor(contract.targets);
  for (const route of routes) {
    const sent = requestFor(route, contract.targets, recipes);
    const answers: Partial<Record<CallerName, Answered>> = {};
    for (const name of callerNames) answers[name] = await contract.ask(name, sent);
    asked.push({ route, sent, answers: answers as Asked["answers"] });
  }
}, 600_000);
afterAll(() => contract?.close());

it("each route declares what it needs, or that it is for everybody", () => {
  const silent = routes.filter(({ needs }) => needs === "undeclared").map(({ name }) => name);
  expect(silent, "give the route `authorised(...)`, or `security: []` where anybody may call it").toEqual(carriesItsOwnToken);
});
/** The rights of one archive and of one transfer, which are no caller's. */
const carriesItsOwnToken = ["GET /api/v2/archives/artifactory/{image}/{catalogId}/{file}", "GET /api/v2/operations/{id}/transfer"];

it("each route answers each caller as the table says", () => {
  const actual: Line[] = asked.map(({ route, answers }) => ({
    route: route.name,
    rule: ruleOf(route),
    statuses: Object.fromEntries(callerNames.map((name) => [name, answers[name].status])) as Line["statuses"],
  }));
  if (process.env["DROVER_CONTRACT"] === "write") writeTable(actual);
  expect(differences(readTable(), actual)).toEqual([]);
});

it("a super user is served by each route, or the request says why not", () => {
  const surprising = asked.flatMap(({ route, answers }) => {
    const { status, text } = answers.admin;
    const due = recipes[route.name]?.refused?.[0];
    return due === undefined
      ? status < 400
        ? []
        : [`${route.name}: ${status} ${text.slice(0, 300)}`]
      : status === due
        ? []
        : [`${route.name}: ${status}, not ${due}`];
  });
  expect(surprising).toEqual([]);
});

it("a caller without credentials gets 401 from each route that is not for everybody", () => {
  const open = asked.filter(({ route, answers }) => route.needs !== "public" && answers.none.status !== 401).map(({ route }) => route.name);
  expect(open).toEqual([]);
});

it("no request is left for recipes that no route has", () => {
  const names = new Set(routes.map(({ name }) => name));
  const families = Object.keys(recipes).filter((name) => !names.has(name) && !ofAllFamilies.test(name));
  expect(families).toEqual([]);
});
/** Some families of machine and proxy routes lack a route that the others have. */
const ofAllFamilies = /orchestrator.*\/(register|upload|http_route|order)$/;

describe("what belongs to another project", () => {
  it("is in no answer to a member of another one, nor to whoever has no rights", () => {
    const { machines, imageId, operations, userId, proxy, providerId } = contract.targets;
    const ids = [...Object.values(machines), imageId, ...Object.values(operations), userId, proxy.web, proxy.tcp, providerId];
    const names = ["resting", "GOLDEN", "vault", "owners-key", "caller-owner", "secret-sheet", "web.example.com"];
    const leaks = asked.flatMap(({ route, sent, answers }) =>
      (["none", "no role", "other project"] as const).flatMap((name) => {
        const asking = `${sent.path} ${JSON.stringify(sent.body)}`;
        const told = [...ids, ...names].filter((word) => !asking.includes(word) && answers[name].text.includes(word));
        return told.length === 0 ? [] : [`${route.name} tells ${name} of ${told.join(", ")}`];
      }),
    );
    expect(leaks).toEqual([]);
  });
});

it("nobody takes what lies in the bundle of a machine that they may not reach, however the path is written", async () => {
  const { hostId } = contract.targets;
  const push = (name: CallerName, path: string) =>
    contract.ask(name, { method: "POST", path: "/api/v2/images", body: { path, catalogId: "taken", version: "1", hostId } });
  const register = (name: CallerName, path: string) =>
    contract.ask(name, { method: "POST", path: "/api/v1/machines/register", body: { path, machine_name: "taken" } });
  for (const path of ["/machines/resting.pvm", "/machines/./x/../RESTING.pvm//disk.hdd", "/machines"]) {
    expect((await push("other project", path)).text).toContain("bundle_not_found");
    expect((await push("owner", path)).status).toBe(202);
  }
  expect((await push("peer", "/machines/hidden.pvm")).status).toBe(404);
  expect((await push("peer", "/machines/resting.pvm")).status).toBe(202);
  expect((await register("other project", "/machines/Resting.pvm")).status).toBe(404);
});

describe("what asks for a role of its own", () => {
  it("does not exist, on any route, for whoever lacks the role, whatever claims they hold", async () => {
    const { machines } = contract.targets;
    const guarded = (path: string) => {
      const other = Object.values(machines).reduce((text, id) => text.replace(id, machines.guarded), path);
      return other.replace(/\/(catalog|images|cache)\/golden\b/, "/$1/vault").replace("/packer/sheet", "/packer/secret-sheet");
    };
    const told: string[] = [];
    for (const { route, sent, answers } of asked) {
      const path = guarded(sent.path);
      if (path === sent.path || answers.manager.status >= 300) continue;
      for (const name of ["manager", "peer", "reader"] as const) {
        const { status, text } = await contract.ask(name, { ...sent, path });
        if (status < 400 && !emptyAnswers.has(text)) told.push(`${route.name} tells ${name}: ${status} ${text.slice(0, 200)}`);
      }
    }
    expect(told).toEqual([]);
  });
});
/** A list of nothing, and the snapshots of a machine that is not there. */
const emptyAnswers = new Set(["[]", "{}"]);

it("each answer has the shape that the document gives it", () => {
  const document = openApiDocument(contract.app, "0") as { paths: Record<string, Record<string, Described | undefined> | undefined> };
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false });
  ajv.addSchema(document, "document");
  const wrong = asked.flatMap(({ route, answers }) => {
    const described = document.paths[route.path]?.[route.method.toLowerCase()];
    if (!described) return [];
    const different = new Map(callerNames.map((name) => [answers[name].status, name]));
    return [...different.values()].flatMap((name) => {
      const fault = misshapen(ajv, described, route, answers[name]);
      return fault === null ? [] : [`${route.name} to ${name}: ${fault}`];
    });
  });
  expect(wrong).toEqual([]);
});

it("headers by which services speak for somebody give nobody anything", async () => {
  const words = (list: readonly string[]) => Buffer.from(list.join(",")).toString("base64");
  const headers = {
    "X-Source": "CATALOG_MANAGER_REQUEST",
    "X-Internal-Api-Client": "true",
    "X-Super-User": "true",
    "X-Claims": words(seededClaimIds),
    "X-Roles": words(["SUPER_USER", "ADMIN", guild]),
  };
  const gained: string[] = [];
  for (const { route, sent, answers } of asked)
    for (const name of ["none", "no role"] as const) {
      const { status } = await contract.ask(name, { ...sent, headers: { ...sent.headers, ...headers } });
      if (status !== answers[name].status)
        gained.push(`${route.name} answers ${status} to ${name}, and ${answers[name].status} without them`);
    }
  expect(gained).toEqual([]);
}, 300_000);

it("what is not there has a body of JSON with its number, which clients read", () => {
  const wire = asked.filter(({ route }) => route.path.startsWith("/api/v1/"));
  const missing = wire.flatMap(({ route, answers }) =>
    callerNames.filter((name) => answers[name].status === 404).map((name) => [`${route.name} to ${name}`, answers[name].text] as const),
  );
  expect(missing.length).toBeGreaterThan(50);
  for (const [what, text] of missing) expect(JSON.parse(text), what).toMatchObject({ code: 404, message: expect.any(String) });
});

describe("however a request is spelled, it is the same one", () => {
  const served = (method?: string) => asked.filter(({ route }) => method === undefined || route.method === method);
  const told = ({ status, text }: Answered) => `${status} ${lasting(text)}`.slice(0, 400);

  it("field names of the contract's bodies are known in any case", async () => {
    const wrong: string[] = [];
    const bodied = served().filter(({ route, sent }) => route.path.startsWith("/api/v1/") && sent.body !== undefined);
    for (const { route, sent, answers } of bodied) {
      const answer = await contract.ask("admin", { ...sent, body: inOtherCase(sent.body) });
      if (told(answer) !== told(answers.admin)) wrong.push(`${route.name}: ${told(answer)}, not ${told(answers.admin)}`);
    }
    expect(wrong).toEqual([]);
    expect(bodied.length).toBeGreaterThan(80);
  }, 300_000);

  it("double and trailing slashes are served, not redirected", async () => {
    const wrong: string[] = [];
    for (const { route, sent, answers } of served("GET")) {
      const { status } = await contract.ask("admin", withMoreSlashes(sent));
      if (status !== answers.admin.status) wrong.push(`${route.name}: ${status}, not ${answers.admin.status}`);
    }
    expect(wrong).toEqual([]);
  }, 300_000);
});

describe("a filter", () => {
  const lists = () => asked.filter(({ route }) => filteredLists.includes(route.name));
  it("that fits nothing leaves nothing of a list, and one that makes no sense is told so", async () => {
    expect(
      lists()
        .map(({ route }) => route.name)
        .toSorted(),
    ).toEqual(filteredLists.toSorted());
    for (const { route, sent, answers } of lists()) {
      const asFiltered = (filter: string) => contract.ask("admin", { ...sent, headers: { ...sent.headers, "X-Filter": filter } });
      expect(await asFiltered("id=^none-such$"), route.name).toMatchObject({ status: answers.admin.status, text: "[]" });
      expect(JSON.parse((await asFiltered("id")).text), route.name).toMatchObject({ code: 404 });
    }
  });

  it("that wants to do harm, on whatever route, is refused or fits little, and soon", async () => {
    const wrong: string[] = [];
    for (const { route, sent, answers } of asked.filter(({ route: { method, path } }) => method === "GET" && path.startsWith("/api/v1/")))
      for (const filter of filteredLists.includes(route.name) ? hostileFilters : hostileFilters.slice(0, 2)) {
        const began = performance.now();
        const { status } = await contract.ask("admin", { ...sent, headers: { ...sent.headers, "X-Filter": filter } });
        const ms = performance.now() - began;
        if (![answers.admin.status, 404].includes(status) || ms > 10_000) wrong.push(`${route.name} by ${filter}: ${status} in ${ms} ms`);
      }
    expect(wrong).toEqual([]);
  }, 300_000);
});

interface Described {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> } | undefined>>;
}

function misshapen(ajv: Ajv2020, { responses }: Described, { method, path }: Route, { status, type, text }: Answered): string | null {
  const key = String(status) in responses ? String(status) : "default";
  const response = responses[key];
  if (!response) return `${status} is not documented: ${text.slice(0, 200)}`;
  const [media] = type.split(";");
  const content = response.content?.[media ?? ""];
  // The wire's refusals without a body are four characters.
  if (text === "" || text === "null") return null;
  if (content === undefined) return response.content === undefined ? `${status} has a body: ${text.slice(0, 100)}` : `${status} is ${type}`;
  if (!media?.endsWith("json")) return null;
  const place = ["paths", path, method.toLowerCase(), "responses", key, "content", media ?? "", "schema"];
  const pointer = place.map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
  const valid = ajv.validate({ $ref: `document#/${pointer}` }, JSON.parse(text));
  return valid ? null : `${status} ${ajv.errorsText()}: ${text.slice(0, 200)}`;
}
