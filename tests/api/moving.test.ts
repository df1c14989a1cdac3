/** An installation of the Parallels DevOps service moves in by its own data.json: dry run first, twice is once, and nothing is lost unseen. */
import { createCipheriv, generateKeyPairSync, publicEncrypt, constants, randomBytes, type KeyObject } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hash } from "@node-rs/bcrypt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveApi, type Served } from "../../api/serve.ts";
import type { MovingReport } from "../../domain/moving/report.ts";
import { addHost } from "../control/hub.ts";
import { runDrover } from "./command-line.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let served: Served;
let folder: string;
let root: string;
let hostId: string;

const userId = "9f".repeat(32);
const keyId = "c4".repeat(32);
const password = "An-old-password-1!";
const managerId = "ab".repeat(32);
/** As that service salts: the secret, then the first 32 bytes of the id. */
const salted = (secret: string, id: string) => hash(Buffer.from(secret + id.slice(0, 32)), 4);

beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  hostId = await addHost(world);
  folder = await mkdtemp(join(tmpdir(), "drover-moving-"));
  served = await serveApi((request, connection) => world.app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
  await writeFile(join(folder, "data.json"), JSON.stringify(await installation()));
});
afterAll(async () => {
  await served?.close(100);
  await world?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function installation() {
  const record = { created_at: "2024-03-01T10:00:00.000000001Z", updated_at: "2024-03-01T10:00:00.000000001Z" };
  const [host] = await world.sql`select name from hosts where id = ${hostId}`;
  return {
    schema: { version: "0.5.4" },
    configuration: { id: "x", telemetry_enabled: true },
    claims: [
      { id: "LIST_VM", name: "LIST_VM", internal: true },
      { id: "BUILD_AGENT", name: "BUILD_AGENT", internal: false },
    ],
    roles: [
      { id: "USER", name: "USER", internal: true, claims: [{ id: "LIST_VM", name: "LIST_VM" }] },
      {
        id: "CI_RUNNER",
        name: "CI_RUNNER",
        internal: false,
        claims: [
          { id: "BUILD_AGENT", name: "BUILD_AGENT" },
          { id: "GONE", name: "GONE" },
        ],
      },
    ],
    users: [
      {
        id: "hardware-id",
        username: "root",
        name: "Root",
        email: "root@localhost",
        password: await salted("x", "y"),
        roles: [],
        claims: [],
        ...record,
      },
      {
        id: userId,
        username: "jdoe",
        name: "Jane Doe",
        email: "jane@example.com",
        password: await salted(password, userId),
        roles: [{ id: "CI_RUNNER", name: "CI_RUNNER" }],
        claims: [{ id: "LIST_VM", name: "LIST_VM" }],
        failed_login_attempts: 2,
        nickname: "J",
        ...record,
      },
    ],
    api_keys: [
      {
        id: keyId,
        name: "ci",
        key: "CI",
        secret: await salted("a-key-secret", keyId),
        revoked: false,
        user_id: userId,
        expires_at: "",
        db_record: null,
        ...record,
      },
      { id: "77", name: "gone", key: "GONE", secret: "x", revoked: false, user_id: "nobody", ...record },
    ],
    user_configs: [{ id: "1", user_id: userId, slug: "theme", name: "Theme", type: "string", value: "dark", ...record }],
    virtual_machine_templates: [
      {
        id: "ubuntu",
        name: "Ubuntu",
        owner: "",
        packer_folder: "ubuntu",
        variables: null,
        addons: null,
        specs: { cpu: "2" },
        defaults: {},
      },
    ],
    catalog_managers: [
      {
        id: managerId,
        name: "office",
        url: "https://catalog.example.com/api/v1",
        internal: false,
        active: true,
        authentication_method: "credentials",
        username: "ci",
        password: "hush-hush",
        global: true,
        owner_id: "hardware-id",
        ...record,
      },
    ],
    catalog_manifests: [
      {
        id: "m",
        catalog_id: "SONOMA",
        version: "1.0",
        architecture: "arm64",
        provider: { type: "aws-s3", meta: { bucket: "images", region: "eu-west-1", access_key: "AK", secret_key: "hush-hush" } },
        tainted: true,
      },
      { id: "n", catalog_id: "LOCAL", version: "1.0", architecture: "m68k" },
    ],
    orchestrator_hosts: [
      {
        id: "h1",
        host: "http://mac-17.lan:5000/api",
        description: "mac 17",
        tags: ["ci"],
        authentication: { api_key: "hush-hush" },
        virtual_machines: [{ ID: "1" }],
      },
      { id: "h2", host: `http://${host?.["name"]}:5000/api`, tags: [], virtual_machines: [] },
    ],
    reverse_proxy_hosts: [
      {
        id: "p1",
        host: "ci.example.com",
        port: "8080",
        http_routes: [{ id: "r", path: "/api", target_host: "10.0.0.5", target_port: "80" }],
      },
      { id: "p2", host_id: "h2", host: "tcp.example.com", port: "2222", tcp_route: { target_vm_id: "vm", target_port: "22" } },
      { id: "p3", host_id: "h2", host: "bad.example.com", port: "none", tcp_route: { target_host: "x", target_port: "22" } },
    ],
    jobs: [{ id: "1" }, { id: "2" }],
    vm_snapshots: [],
    telepathy: [{ id: "1" }],
  };
}

async function moved(...options: string[]): Promise<MovingReport> {
  const env = { DROVER_URL: `http://127.0.0.1:${served.port}`, DROVER_TOKEN: root };
  const ran = await runDrover(["import", "devops", ...options, "--json"], { folder, env });
  expect(ran.exitCode, ran.err).toBe(0);
  return ran.json();
}
const lines = ({ items }: MovingReport) => Object.fromEntries(items.map(({ kind, name, what }) => [`${kind} ${name}`, what]));
const count = async () => {
  const [row] = await world.sql`select (select count(*) from users) + (select count(*) from api_keys) + (select count(*) from roles)
    + (select count(*) from catalog_managers) + (select count(*) from proxy_hosts) + (select count(*) from packer_templates)
    + (select count(*) from user_configs) + (select count(*) from claims) + (select count(*) from stores) as all`;
  return Number(row?.["all"]);
};

const added = {
  "claim BUILD_AGENT": "added",
  "role CI_RUNNER": "added",
  "user jdoe": "added",
  "api key ci": "added",
  "user configuration theme": "added",
  "packer template ubuntu": "added",
  "catalog manager office": "added",
  "proxy host ci.example.com:8080": "added",
  "proxy host tcp.example.com:2222": "added",
};
const always = {
  "user root": "kept",
  "api key gone": "todo",
  "host mac 17": "todo",
  "proxy host bad.example.com:none": "todo",
  "image LOCAL/1.0/m68k": "todo",
  "section jobs": "left",
  "section configuration": "left",
};

describe("an installation", () => {
  it("is only told in a dry run, field by field", async () => {
    const before = await count();
    const report = await moved("data.json", "--dry-run");
    expect(lines(report)).toMatchObject({ ...added, ...always, "image SONOMA/1.0/arm64": "added" });
    expect(report.unknown).toEqual([
      { field: "telepathy", count: 1 },
      { field: "users[].nickname", count: 1 },
    ]);
    expect(JSON.stringify(report)).not.toContain("hush");
    expect(report.items.find(({ name }) => name === "mac 17")?.note).toContain("drover host token 'mac 17'");
    expect(await count()).toBe(before);
  });

  it("comes once, however often it is asked for", async () => {
    expect(lines(await moved("data.json"))).toMatchObject({ ...added, ...always, "image SONOMA/1.0/arm64": "todo" });
    const after = await count();
    const again = lines(await moved("data.json"));
    for (const name of Object.keys(added)) expect([name, again[name] ?? "kept"]).toEqual([name, "kept"]);
    expect(await count()).toBe(after);
    const [manager] = await world.sql`select url, trusted, owner_id, sealed from catalog_managers where id = ${managerId}`;
    const [rootRow] = await world.sql`select id from users where username = 'root'`;
    expect(manager).toMatchObject({ url: "https://catalog.example.com", trusted: true, owner_id: rootRow?.["id"] });
    expect(Buffer.from(manager?.["sealed"]).toString("latin1")).not.toContain("hush");
    const [proxy] = await world.sql`select host_id, http_routes from proxy_hosts where host = 'ci.example.com'`;
    expect(proxy).toMatchObject({
      host_id: hostId,
      http_routes: [{ match: { kind: "path", text: "/api" }, target: { host: "10.0.0.5", port: 80 } }],
    });
  });

  it("lets its people in with their old passwords and keys, and keeps them by Argon2id from then on", async () => {
    const stored = async () => {
      const [user] = await world.sql`select password_hash from users where username = 'jdoe'`;
      const [key] = await world.sql`select secret_hash from api_keys where name = 'ci'`;
      return [user?.["password_hash"], key?.["secret_hash"]] as const;
    };
    for (const hashed of await stored()) expect(hashed).toMatch(/^moved:/);
    const wrong = await world.call("POST", "/api/v1/auth/token", { body: { email: "jane@example.com", password: `${password}x` } });
    expect(wrong.status).toBe(401);
    const token = await world.login("jane@example.com", password);
    const encoded = (secret: string) => ({ headers: { "X-Api-Key": Buffer.from(`CI:${secret}`).toString("base64") } });
    expect((await world.call("GET", "/api/v1/machines", encoded("a-key-secre"))).status).toBe(401);
    expect((await world.call("GET", "/api/v1/machines", encoded("a-key-secret"))).status).toBe(200);
    for (const hashed of await stored()) expect(hashed).toMatch(/^\$argon2id\$/);
    expect((await world.call("GET", "/api/v1/machines", { token })).status).toBe(200);
    expect((await world.call("GET", "/api/v1/user/configs/theme", { token })).body).toMatchObject({ value: "dark" });
    expect(await world.login("jdoe", password)).toBeTruthy();
    expect((await world.call("GET", "/api/v1/machines", encoded("a-key-secret"))).status).toBe(200);
  });

  it("is opened by the key that it was encrypted with, and by no other", async () => {
    const pair = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
    const [own, other] = [pair(), pair()];
    const plain = await readFile(join(folder, "data.json"));
    const pem = (key: KeyObject) => key.export({ type: "pkcs1", format: "pem" }) as string;
    await writeFile(join(folder, "locked.json"), locked(plain, own.publicKey));
    await writeFile(join(folder, "own.pem"), pem(own.privateKey));
    await writeFile(join(folder, "other.txt"), Buffer.from(pem(other.privateKey)).toString("base64"));
    expect(lines(await moved("locked.json", "--key", "own.pem", "--dry-run", "--without-images"))).toMatchObject({ "user jdoe": "kept" });
    const env = { DROVER_URL: `http://127.0.0.1:${served.port}`, DROVER_TOKEN: root };
    for (const words of [["locked.json"], ["locked.json", "--key", "other.txt"], ["nowhere.json"], ["own.pem"]])
      expect((await runDrover(["import", "devops", ...words], { folder, env })).exitCode, words.join(" ")).toBe(2);
  });

  it("is taken over by super users only, and refused by the place that makes no sense", async () => {
    const jane = await world.login("jdoe", password);
    const send = (token: string, database: object) => world.call("POST", "/api/v2/import/devops", { token, body: { database } });
    expect((await send(jane, {})).status).toBe(403);
    expect(await send(root, { users: [{ id: 5 }] })).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining("users.0.id") },
    });
    expect(await send(root, { users: "many" })).toMatchObject({ status: 400, body: { code: "invalid_request" } });
    expect((await send(root, {})).body).toMatchObject({ items: [], unknown: [] });
  });
});

/** As that service writes: a key of AES under RSA, then the text under that. */
function locked(plain: Buffer, key: KeyObject): Buffer {
  const secret = randomBytes(32);
  const cipher = createCipheriv("aes-256-cfb", secret, secret.subarray(0, 16));
  const wrapped = publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, secret);
  return Buffer.concat([wrapped, cipher.update(plain), cipher.final()]);
}
