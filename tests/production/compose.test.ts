/** What docker-compose.temporal.yml promises, checked without a container engine: it is valid, closed, complete, and as careful as its comments say. */
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { Ajv2020 } from "ajv/dist/2020.js";
import { parse } from "yaml";
import { beforeAll, describe, expect, it } from "vitest";
import { dynamicConfig } from "../../deploy/embedded/temporal.ts";
import { withSecretFiles } from "../../domain/config/files.ts";
import { readConfig } from "../../domain/config/schema.ts";
import { variableNames } from "../../domain/config/variables.ts";
import about from "../../package.json" with { type: "json" };
import { type Compose, interpolated, mentions, openCompose, readCompose, readEnv, root, type Service } from "./compose.ts";
import { readStages, stepsOf, type Stage } from "./dockerfile.ts";

let raw: unknown;
let example: Record<string, string>;
let compose: Compose;
let stages: Stage[];
beforeAll(async () => {
  [raw, example, stages] = await Promise.all([readCompose(), readEnv(".env.example"), readStages()]);
  compose = await openCompose(example);
});

const services = (): Array<[string, Service]> => Object.entries(compose.services);
const lasting = () => services().filter(([, { restart }]) => restart === "unless-stopped");
const ours = () => lasting().filter(([, { build }]) => build !== undefined);

describe("the compose file", () => {
  it("is valid by the Compose Specification", async () => {
    const schema: unknown = JSON.parse(await readFile(new URL("./fixtures/compose-go/compose-spec.json", import.meta.url), "utf8"));
    const check = new Ajv2020({ strict: false, allErrors: true }).compile(schema as object);
    check(interpolated(raw, example));
    expect(check.errors ?? []).toEqual([]);
  });

  it("names in .env.example every variable that it asks for, and no other", () => {
    expect(Object.keys(example).toSorted()).toEqual([...new Set(mentions(raw).map(({ name }) => name))].toSorted());
  });

  it("does not start without what has no sensible default, and says what is missing", () => {
    const required = [...new Set(mentions(raw).flatMap(({ name, isRequired }) => (isRequired ? [name] : [])))];
    expect(required.toSorted()).toEqual(["DROVER_URL", "HUB_NAME", "SECRETS_FOLDER", "STORE_URL"]);
    for (const name of required) expect(() => interpolated(raw, { ...example, [name]: "" })).toThrow(`${name} `);
  });

  it("pins every image by its exact version, ours by this release's", () => {
    for (const [name, { image, build }] of services()) {
      expect(image, name).toMatch(/:\d+\.\d+[\w.-]*$/);
      if (build !== undefined) expect(image).toBe(`drover-${build.target}:${about.version}`);
    }
  });

  it("has a health check, an end and a limit of memory for everything that stays, and starts nothing before what it needs", () => {
    for (const [name, { healthcheck, build, deploy, depends_on: needs }] of lasting()) {
      const built = build && stepsOf(stages, build.target).some(({ word }) => word === "HEALTHCHECK");
      expect(healthcheck?.test !== undefined || built, `${name} has a health check`).toBe(true);
      expect(deploy?.resources.limits.memory, name).toBeDefined();
      for (const [needed, { condition }] of Object.entries(needs)) {
        const stays = compose.services[needed]?.restart === "unless-stopped";
        expect(condition, `${name} needs ${needed}`).toBe(stays ? "service_healthy" : "service_completed_successfully");
      }
    }
  });

  it("restarts what stays, and tries tasks again only while they fail", () => {
    for (const [name, { restart }] of services()) expect(["unless-stopped", "on-failure:10"], name).toContain(restart);
  });

  it("gives no process a privilege it does not need", () => {
    for (const [name, { cap_drop: dropped, security_opt: options }] of services()) {
      expect(dropped, name).toEqual(["ALL"]);
      expect(options, name).toEqual(["no-new-privileges:true"]);
    }
    for (const [name, { read_only: isReadOnly, build }] of ours()) {
      expect(isReadOnly, name).toBe(true);
      expect(stepsOf(stages, build?.target ?? "").findLast(({ word }) => word === "USER")?.text, name).toBe("node");
    }
  });

  it("lets only the gateway and the store be reached from elsewhere, and Temporal and PostgreSQL from nowhere", () => {
    const open = services().filter(([, { ports }]) => ports.some((port) => !port.startsWith("127.0.0.1:")));
    expect(open.map(([name]) => name).toSorted()).toEqual(["gateway", "store"]);
    for (const name of ["postgres", "temporal"]) expect(compose.services[name]).toMatchObject({ ports: [], networks: ["inside"] });
    expect(compose.networks["inside"]?.internal).toBe(true);
  });

  it("holds no secret: each is a file that make-secrets.sh makes, mounted where its variable looks for it", async () => {
    const script = await readFile(join(root, "deploy/compose/make-secrets.sh"), "utf8");
    const made = script.matchAll(/\| keep ([\w.-]+)/g);
    expect(Object.keys(compose.secrets).toSorted()).toEqual([...made].map(([, name = ""]) => name).toSorted());
    for (const [name, { environment, secrets, entrypoint = [], command = [] }] of services()) {
      const named = [...JSON.stringify([environment, entrypoint, command]).matchAll(/\/run\/secrets\/([\w.-]+)/g)].map(([, file]) => file);
      for (const file of named) expect(secrets, name).toContain(file);
      for (const variable of Object.keys(environment))
        if (!variable.endsWith("_FILE")) expect(variable).not.toMatch(/PASSWORD|PWD|SECRET|MASTER|TOKEN/);
    }
  });

  it("gives our processes variables that they know and that fit together", async () => {
    const read = (path: string) => fakeSecrets[path.replace("/run/secrets/", "")] ?? "";
    for (const [name, { environment }] of ours()) {
      for (const variable of Object.keys(environment)) expect(variableNames, name).toContain(variable.replace(/_FILE$/, ""));
      expect(readConfig(withSecretFiles(environment, read)), name).toMatchObject({ ok: true });
    }
  });

  it("mounts files that exist, and volumes that it declares", async () => {
    for (const source of services().flatMap(([, { volumes }]) => volumes.map((volume) => volume.split(":")[0] ?? "")))
      if (source.startsWith("./")) expect((await stat(join(root, source))).isFile()).toBe(true);
      else expect(Object.keys(compose.volumes)).toContain(source);
  });
});

it("gets its secrets once, in a folder that is closed to others", async () => {
  const folder = join(await mkdtemp(join(tmpdir(), "drover-secrets-")), "secrets");
  const make = () => promisify(execFile)("sh", [join(root, "deploy/compose/make-secrets.sh"), folder]);
  try {
    await make();
    const made = await contentsOf(folder);
    expect(Object.keys(made).toSorted()).toEqual(Object.keys(compose.secrets).toSorted());
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(made["database-url"]).toContain(made["drover-database-password"]?.trim() ?? "none");
    expect(made["store-identities.json"]).toContain(made["store-secret-key"]?.trim() ?? "none");
    await make();
    expect(await contentsOf(folder)).toEqual(made);
  } finally {
    await rm(dirname(folder), { recursive: true, force: true });
  }
});

async function contentsOf(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder);
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), "utf8")] as const)));
}

const fakeSecrets: Readonly<Record<string, string>> = {
  "database-url": "postgres://drover:word@postgres:5432/drover",
  "master-key": Buffer.alloc(32, 1).toString("base64"),
  "root-password": "0123456789abcdef",
  "store-secret-key": "0123456789abcdef",
};

it("tunes Temporal as the embedded server is tuned", async () => {
  const file = parse(await readFile(join(root, "deploy/temporal/dynamic-config.yaml"), "utf8")) as Record<string, unknown>;
  expect(file).toEqual(Object.fromEntries(Object.entries(dynamicConfig).map(([key, value]) => [key, [{ value }]])));
});
