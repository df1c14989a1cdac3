/** Catalogs behind catalog managers: reached by real HTTP, with credentials that never come back, and no further than whoever asks may see. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveApi, type Served } from "../../api/serve.ts";
import { addHost, addImage, addStore } from "../control/hub.ts";
import { runDrover } from "./command-line.ts";
import { describeLyingCatalog } from "./lying-catalog.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let served: Served;
let root: string;
let jane: string;
let url: string;
let hostId: string;
const password = "Correct-horse-8!";
const managers = "/api/v1/catalog-managers";

beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  hostId = await addHost(world);
  const storeId = await addStore(world);
  await addImage(world, storeId, "golden");
  await addImage(world, storeId, "secret", { requiredRoles: ["ADMIN"] });
  const user = { username: "jdoe", name: "J", email: "j@example.com", password, roles: ["USER"] };
  await world.call("POST", "/api/v1/auth/users", { token: root, body: user });
  jane = await world.login("jdoe", password);
  served = await serveApi((request, connection) => world.app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
  url = `http://127.0.0.1:${served.port}`;
});
afterAll(async () => {
  await served?.close(100);
  await world?.close();
});

const as =
  (token: string) =>
  (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    world.call(method, path, { token, body, headers });
const own = (more: object = {}) => ({ name: "other", url, username: "root", password: rootPassword, ...more });
const made = async (token = root, more: object = {}): Promise<string> => {
  const { status, body, text } = await as(token)("POST", managers, own(more));
  expect(status, text).toBe(200);
  return body.id;
};

describe("a catalog manager", () => {
  it("is kept once its catalog answered, and never tells its credentials", async () => {
    const answer = await as(root)("POST", managers, own({ URL: `${url}/api/v1/`, url: undefined }));
    expect(answer).toMatchObject({
      status: 200,
      body: { name: "other", url, active: true, username: "********", password: "********", global: false },
    });
    const path = `${managers}/${answer.body.id}`;
    const changed = await as(root)("PUT", path, { ...own(), password: "********", username: "", name: "renamed" });
    expect(changed).toMatchObject({ status: 200, body: { name: "renamed" } });
    const texts = [answer, changed, await as(root)("GET", managers), await as(root)("GET", path)].map(({ text }) => text);
    for (const text of [...texts, ...world.lines]) expect(text).not.toContain(rootPassword);
    const [row] =
      await world.sql`select sealed, to_jsonb(catalog_managers) - 'sealed' as rest from catalog_managers where id = ${answer.body.id}`;
    expect(Buffer.from(row?.["sealed"]).toString("latin1")).not.toContain(rootPassword);
    expect(JSON.stringify(row?.["rest"])).not.toContain(rootPassword);
    expect(await as(root)("DELETE", path)).toMatchObject({ status: 200, body: { success: true } });
    expect(await as(root)("GET", path)).toMatchObject({ status: 404, body: { message: "catalog manager not found", code: 404 } });
    expect(await as(root)("GET", `${path}/catalog`)).toMatchObject({ status: 404, body: { code: 404 } });
  });

  it("is refused with what is wrong about it", async () => {
    const refused = async (more: object, words: RegExp, status = 400) => {
      const answer = await as(root)("POST", managers, own(more));
      expect([answer.status, answer.body.message]).toEqual([status, expect.stringMatching(words)]);
    };
    await refused({ name: "" }, /name is required/);
    await refused({ url: "ftp://x" }, /http or https/);
    await refused({ url: "http://root:x@127.0.0.1" }, /without user name/);
    await refused({ password: "" }, /api_key, or username and password/);
    await refused({ password: "wrong-password" }, /does not accept/);
    await refused({ url: "http://127.0.0.1:1" }, /cannot be used: ECONNREFUSED/);
    await refused({ url: "http://169.254.169.254" }, /access to this url is not allowed/);
    await refused({ url: "http://localhost:1" }, /access to this url is not allowed/);
  });

  it("keeps its credentials to the address that they were given for", async () => {
    const id = await made();
    const moved = await as(root)("PUT", `${managers}/${id}`, { name: "other", url: "http://127.0.0.1:9" });
    expect([moved.status, moved.body.message]).toEqual([400, expect.stringContaining("credentials anew")]);
    // The mask of the kept secret is not a secret that was brought.
    const masked = await as(root)("PUT", `${managers}/${id}`, { name: "other", url: "http://127.0.0.1:9", password: "********" });
    expect([masked.status, masked.body.message]).toEqual([400, expect.stringContaining("credentials anew")]);
    await as(root)("DELETE", `${managers}/${id}`);
  });

  it("is its owner's, or global for whoever holds what it asks for", async () => {
    const mine = await made(jane);
    const global = await made(root, { global: true });
    const guarded = await made(root, { global: true, required_claims: ["CREATE_VM"] });
    const ids = async (token: string) => (await as(token)("GET", managers)).body.map(({ id }: { id: string }) => id).toSorted();
    expect(await ids(jane)).toEqual([mine, global].toSorted());
    expect(await ids(root)).toEqual([mine, global, guarded].toSorted());
    expect((await as(jane)("GET", `${managers}/${guarded}`)).status).toBe(403);
    expect((await as(jane)("GET", `${managers}/${guarded}/catalog`)).status).toBe(403);
    expect((await as(jane)("PUT", `${managers}/${global}`, own())).status).toBe(403);
    expect((await as(jane)("POST", managers, own({ global: true }))).status).toBe(403);
    expect((await as(jane)("DELETE", `${managers}/${global}`)).status).toBe(403);
    for (const id of [mine, global, guarded]) expect((await as(root)("DELETE", `${managers}/${id}`)).status).toBe(200);
  });
});

describe("the catalog behind it", () => {
  it("is listed and read as it is there, without what the caller may not see", async () => {
    const id = await made(root, { global: true });
    const at = (token: string, path: string) => as(token)("GET", `${managers}/${id}/catalog${path}`);
    const names = ({ body }: { body: object[] }) => body.flatMap((group) => Object.keys(group)).toSorted();
    expect(names(await at(root, ""))).toEqual(["GOLDEN", "SECRET"]);
    expect(names(await at(jane, ""))).toEqual(["GOLDEN"]);
    expect((await at(jane, "/golden")).body).toHaveLength(1);
    expect((await at(jane, "/secret")).body).toEqual([]);
    expect((await at(jane, "/secret/1/arm64")).status).toBe(404);
    expect((await at(root, "/golden/1/arm64")).body).toMatchObject({ catalog_id: "GOLDEN", provider: { type: "drover" } });
    expect(await at(root, "/no-such/1")).toMatchObject({ status: 404, body: { code: 404 } });
    expect(names(await as(root)("GET", `${managers}/${id}/catalog`, undefined, { "X-Filter": "name=^secret" }))).toEqual(["SECRET"]);
  });

  it("is changed there, by whoever sees what is changed", async () => {
    const id = await made(root, { global: true });
    const there = `${managers}/${id}/catalog`;
    expect((await as(jane)("PATCH", `${there}/golden/1/arm64/taint`)).status).toBe(401);
    expect((await as(root)("PATCH", `${there}/golden/1/arm64/taint`)).body.tainted).toBe(true);
    expect((await as(root)("GET", "/api/v1/catalog/golden/1/arm64")).body.tainted).toBe(true);
    expect(await as(root)("GET", `${there}/golden/1/arm64/download`)).toMatchObject({
      status: 400,
      body: { message: "Manifest is tainted" },
    });
    expect((await as(root)("PATCH", `${there}/golden/1/arm64/untaint`)).status).toBe(200);
    expect((await as(jane)("PATCH", `${there}/golden/1/arm64/tags`, { tags: ["jane"] })).body.tags).toContain("jane");
    expect((await as(jane)("DELETE", `${there}/golden/1/arm64/tags`, { tags: ["jane"] })).body.tags).not.toContain("jane");
    expect((await as(jane)("DELETE", `${there}/secret`)).status).toBe(404);
    expect((await as(root)("GET", "/api/v1/catalog/secret")).body).toHaveLength(1);
    expect((await as(root)("PUT", `${there}/import`, { catalog_id: "x" })).status).toBe(400);
    expect((await as(root)("DELETE", `${there}/secret/1/arm64`)).status).toBe(202);
    expect((await as(root)("GET", "/api/v1/catalog/secret")).body).toEqual([]);
  });

  it("gives a machine by an operation that knows no credentials, under a name that is nobody else's", async () => {
    const id = await made(jane);
    const pull = { catalog_id: "golden", version: "1", architecture: "arm64", machine_name: "through" };
    const at = `${managers}/${id}/catalog/pull/async`;
    expect((await as(jane)("PUT", at, { ...pull, connection: "host=x" })).status).toBe(400);
    expect((await as(jane)("PUT", at, { ...pull, catalog_id: "secret" })).status).toBe(400);
    const job = await as(jane)("PUT", at, pull, { "X-Drover-Host": hostId });
    expect(job).toMatchObject({ status: 202, body: { job_type: "catalog", job_operation: "pull" } });
    const [row] = await world.sql`select verb, on_fault, input, image from operations order by id desc limit 1`;
    expect(row).toMatchObject({
      verb: "import",
      on_fault: "fail",
      input: { managerId: id, remotePath: "/v2/images/golden/1/arm64/archive" },
    });
    expect(row?.["image"]).toMatch(/^other-[0-9a-f]{8}\.golden\/1\/arm64$/);
    expect(row?.["input"].archive.requiredClaims).toEqual([`CATALOG_MANAGER_${id.toUpperCase()}`]);
    expect(JSON.stringify(row)).not.toContain(rootPassword);
    const create = { name: "made", architecture: "arm64", catalog_manifest: { catalog_id: "golden", catalog_manager_id: id } };
    expect(await as(root)("POST", "/api/v1/machines/async", create, { "X-Drover-Host": hostId })).toMatchObject({
      status: 202,
      body: { job_type: "machines", job_operation: "create" },
    });
  });
});

describe("in our own words", () => {
  const ours = "/api/v2/catalog-managers";
  const wanted = (more: object = {}) => ({
    name: "ours",
    url: `${url}/api/v1/`,
    credentials: { username: "root", password: rootPassword },
    ...more,
  });

  it("is the same manager, kept, shown and changed without its credentials", async () => {
    const added = await as(root)("POST", ours, wanted({ requiredClaims: ["CREATE_VM"], global: true }));
    expect(added).toMatchObject({ status: 201, body: { name: "ours", url, active: true, global: true, authentication: "password" } });
    const at = `${ours}/${added.body.id}`;
    expect((await as(root)("GET", `${managers}/${added.body.id}`)).body).toMatchObject({ name: "ours", password: "********" });
    expect((await as(root)("PATCH", at, { name: "renamed" })).body).toMatchObject({ name: "renamed", url, requiredClaims: ["CREATE_VM"] });
    const listed = await as(root)("GET", ours);
    expect(listed.body.items).toContainEqual(expect.objectContaining({ id: added.body.id, name: "renamed" }));
    for (const { text } of [added, listed, await as(root)("GET", at)]) expect(text).not.toContain(rootPassword);
    expect((await as(jane)("GET", at)).status).toBe(403);
    expect((await as(root)("DELETE", at)).status).toBe(204);
    expect(await as(root)("GET", at)).toMatchObject({ status: 404, body: { code: "catalog_manager_not_found" } });
  });

  it("is refused with the field, and with what the other side said", async () => {
    const refused = async (more: object) => (await as(root)("POST", ours, wanted(more))).body;
    expect(await refused({ url: "ftp://x" })).toMatchObject({
      status: 400,
      code: "invalid_request",
      message: expect.stringContaining("url: "),
    });
    expect(await refused({ credentials: { username: "root" } })).toMatchObject({ status: 400, code: "invalid_request" });
    expect(await refused({ credentials: { username: "root", password: "wrong" } })).toMatchObject({ status: 503, code: "remote_denied" });
    expect(await refused({ url: "http://127.0.0.1:1" })).toMatchObject({ status: 503, code: "remote_unreachable" });
    expect(await refused({ url: "http://169.254.169.254" })).toMatchObject({ status: 400, code: "address_forbidden" });
    const { body } = await as(root)("POST", ours, wanted());
    const moved = await as(root)("PATCH", `${ours}/${body.id}`, { url: "http://127.0.0.1:9" });
    expect(moved.body).toMatchObject({ status: 400, message: expect.stringContaining("credentials anew") });
    expect((await as(jane)("POST", ours, wanted({ global: true }))).body).toMatchObject({ status: 403, code: "not_owner" });
    await as(root)("DELETE", `${ours}/${body.id}`);
  });

  it("leads to the images there that the caller may see, and to machines and versions by operations", async () => {
    const { body } = await as(root)("POST", ours, wanted({ global: true }));
    const at = `${ours}/${body.id}`;
    const { items } = (await as(jane)("GET", `${at}/images`)).body;
    expect(items).toMatchObject([{ catalogId: "GOLDEN", version: "1", architecture: "arm64", state: "usable" }]);
    const machine = { name: "made-there", image: { catalogId: "golden", version: "1" }, hostId };
    const pulled = await as(jane)("POST", `${at}/machines`, machine, { "Idempotency-Key": "once" });
    expect(pulled).toMatchObject({ status: 202, body: { verb: "import", onFault: "park" } });
    expect((await as(jane)("POST", `${at}/machines`, machine, { "Idempotency-Key": "once" })).body.id).toBe(pulled.body.id);
    const missing = await as(jane)("POST", `${at}/machines`, { ...machine, image: { catalogId: "secret" } });
    expect(missing.body).toMatchObject({ status: 404, code: "image_not_found" });
    const bundle = { path: "/machines/x.pvm", hostId, catalogId: "sent", version: "2" };
    const connection = `provider=local-storage;catalog_path=${world.home}`;
    expect((await as(root)("POST", `${at}/images`, { ...bundle, connection: "nonsense" })).body).toMatchObject({ status: 400 });
    // No store is added in this world: what was asked for came as far as that.
    expect((await as(root)("POST", `${at}/images`, { ...bundle, connection })).body).toMatchObject({ code: "store_invalid" });
    await as(root)("DELETE", at);
  });

  it("is worked with on the command line, which takes its secret from a variable", async () => {
    const env = { DROVER_URL: url, DROVER_TOKEN: root, SECRET: `username=root\npassword=${rootPassword}\n` };
    const drover = (...args: string[]) => runDrover(["catalog-manager", ...args], { folder: world.home, env });
    const added = (await drover("add", "office", url, "--credentials-env", "SECRET", "--json")).json();
    expect(added).toMatchObject({ name: "office", authentication: "password" });
    expect((await drover("list")).out).toContain("office");
    expect((await drover("images", "office", "--json")).json()).toContainEqual(expect.objectContaining({ catalogId: "GOLDEN" }));
    expect((await drover("edit", "office", "--name", "branch", "--no-active")).out).toMatch(/active +no/);
    expect(await drover("images", "branch")).toMatchObject({ exitCode: 2, err: expect.stringContaining("not active") });
    expect((await drover("edit", added.id, "--active", "--json")).json()).toMatchObject({ name: "branch", active: true });
    const pulled = await drover("pull", "branch", "golden:1", "--machine", "typed", "--detach", "--json");
    expect(pulled.json()).toMatchObject({ verb: "import" });
    expect((await drover("push", "branch", "/x.pvm", "sent", "--host", "h")).err).toContain("--connection-file");
    expect((await drover("remove", "branch")).exitCode).toBe(0);
    expect((await drover("show", "branch")).exitCode).toBe(4);
  });
});

describeLyingCatalog({ asRoot: (...request) => as(root)(...request), made: (more) => made(root, more), managers, hostId: () => hostId });
