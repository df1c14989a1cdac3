/**
 * A Parallels DevOps service whose connection string names this hub as its remote catalog (`host=user:password@address;provider=...`).
 *
 * The one idea: it moves all bytes by itself. A push writes to the storage that its own string names and tells us of it; a pull believes whatever storage the
 * manifest names, so it is played here down to its ranges of 5 MiB.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import type { Answer, Caller } from "./caller.ts";
import { rootPassword, type Session } from "./session.ts";

const run = promisify(execFile);
const partBytes = 5 * 1024 ** 2;
const fixture = (file: string) =>
  fileURLToPath(new URL(`../../pdpack/fixtures/plain/fix-sonoma/fix-sonoma-arm64-1.0.0.${file}`, import.meta.url));
const md5Of = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");

interface Repository {
  readonly url: string;
  readonly repo: string;
  readonly access_key: string;
}
interface Manifest {
  readonly path: string;
  readonly pack_filename: string;
  readonly metadata_filename: string;
  readonly provider: { readonly type: string; readonly meta: Repository };
}

/** What it asks our API before it fetches anything: a login, and the manifest of its own architecture. */
async function manifestFor({ loggedIn }: Session, catalogId: string, version: string, architecture: string): Promise<Answer> {
  const call = await loggedIn({ "X-INTERNAL-API-CLIENT": "true", "X-SOURCE-ID": "PRL_DEVOPS_SERVICE" });
  return call("GET", `/api/v1/catalog/${catalogId.toUpperCase()}/${version}/${architecture}/download`);
}

const addressOf = ({ path, provider: { meta } }: Manifest, file: string) =>
  `${meta.url.endsWith("/artifactory") ? meta.url : `${meta.url}/artifactory`}/${join(meta.repo, path, file)}`;

/** Part after part until one is shorter than asked for; a part without a length counts as such. */
async function fetched(manifest: Manifest, file: string): Promise<{ bytes: Buffer; parts: number }> {
  const headers = { "X-JFrog-Art-Api": manifest.provider.meta.access_key, "Content-Type": "application/json" };
  const size = await fetch(addressOf(manifest, file), { method: "HEAD", headers });
  expect([size.status, Number(size.headers.get("Content-Length"))]).toEqual([200, expect.toSatisfy((bytes: number) => bytes > 0)]);
  const parts: Buffer[] = [];
  for (let start = 0; ; start += partBytes) {
    const range = { Range: `bytes=${start}-${start + partBytes - 1}` };
    const answer = await fetch(addressOf(manifest, file), { headers: { ...headers, ...range } });
    expect([200, 206]).toContain(answer.status);
    parts.push(Buffer.from(await answer.arrayBuffer()));
    if (Number(answer.headers.get("Content-Length") ?? -1) < partBytes) break;
  }
  const bytes = Buffer.concat(parts);
  expect(bytes.byteLength).toBe(Number(size.headers.get("Content-Length")));
  return { bytes, parts: parts.length };
}

/** As that service pulls: the sum that names its cache, the manifest, the archive. */
async function pulled(answer: Answer) {
  expect(answer.status, answer.text).toBe(200);
  const manifest: Manifest = answer.body;
  expect(manifest.provider.type).toBe("artifactory");
  const headers = { "X-JFrog-Art-Api": manifest.provider.meta.access_key };
  const sum = await fetch(addressOf(manifest, manifest.pack_filename), { method: "HEAD", headers });
  const meta = await fetched(manifest, manifest.metadata_filename);
  const pack = await fetched(manifest, manifest.pack_filename);
  return { manifest, sum: sum.headers.get("X-Checksum-Md5"), meta: meta.bytes, pack: pack.bytes, parts: pack.parts };
}

/** What it posts once its files are written: its manifest, with the storage and its own login in it. */
async function pushed(call: Caller, folder: string, more: object = {}): Promise<Answer> {
  await mkdir(join(folder, "fix-sonoma"), { recursive: true });
  for (const file of ["meta", "pdpack"]) await cp(fixture(file), join(folder, "fix-sonoma", `fix-sonoma-arm64-1.0.0.${file}`));
  const manifest = JSON.parse(await readFile(fixture("meta"), "utf8"));
  const login = { host: "http://127.0.0.1", port: "1", user: "root", password: rootPassword, api_key: "" };
  const provider = { type: "local-storage", ...login, meta: { catalog_path: folder } };
  return call("POST", "/api/v1/catalog", { body: { ...manifest, provider, ...more } });
}

export function playService(session: () => Session): void {
  it("pushes: its manifest is registered, twice as once, and its password is in no answer", async () => {
    const call = await session().loggedIn();
    const folder = join(session().stack.home, "written-by-a-service");
    const made = await pushed(call, folder);
    expect([made.status, made.body], made.text).toMatchObject([
      200,
      { catalog_id: "FIX-SONOMA", version: "1.0.0", tags: ["fixture", "latest"] },
    ]);
    const again = await pushed(call, folder, { required_roles: [], minimum_requirements: null });
    expect([again.status, again.body.id]).toEqual([200, made.body.id]);
    const shown = await call("GET", "/api/v1/catalog/FIX-SONOMA/1.0.0/arm64");
    for (const { text } of [made, again, shown]) expect(text).not.toContain(rootPassword);
    const nowhere = { type: "local-storage", meta: { catalog_path: join(folder, "nowhere") } };
    const unknown = await pushed(call, folder, { version: "2", provider: nowhere });
    expect([unknown.status, unknown.body.code], unknown.text).toEqual([400, 400]);
    const silent = await pushed(call, folder, { provider: null });
    expect([silent.status, silent.body.message]).toEqual([400, expect.stringContaining("provider")]);
  }, 120_000);

  it("pulls what it pushed: the very bytes that it wrote, manifest and archive", async () => {
    const got = await pulled(await manifestFor(session(), "fix-sonoma", "1.0.0", "arm64"));
    const [pack, meta] = await Promise.all([readFile(fixture("pdpack")), readFile(fixture("meta"))]);
    expect(got.pack.equals(pack)).toBe(true);
    expect(got.meta.equals(meta)).toBe(true);
    expect(got.sum).toBe(md5Of(pack));
  }, 120_000);

  it("pulls an image of ours once it was exported, and is told so before", async () => {
    const { architecture, stack } = session();
    const before = await manifestFor(session(), "sonoma-mini", "1.0", architecture);
    expect([before.status, before.body]).toEqual([400, { code: 400, message: expect.stringContaining("drover image export") }]);
    const folder = join(stack.home, "exported-for-a-service");
    await stack.json("image", "export", `sonoma-mini/1.0/${architecture}`, "--to", folder, "--plain");
    const got = await pulled(await manifestFor(session(), "sonoma-mini", "1.0", architecture));
    expect(got.parts).toBeGreaterThan(1);
    expect(got.sum).toBe(md5Of(got.pack));
    expect(JSON.parse(got.meta.toString())).toMatchObject({ catalog_id: "sonoma-mini", type: "pvm", compressed_checksum: got.sum });
    const file = join(folder, "pulled.pdpack");
    await writeFile(file, got.pack);
    expect((await run("tar", ["-tf", file])).stdout).toMatch(/^\/config\.pvs$/m);
  }, 120_000);

  it("reads a file to its end that is as long as its parts, where it asks for one part more", async () => {
    const call = await session().loggedIn();
    const folder = join(session().stack.home, "even");
    await mkdir(join(folder, "even"), { recursive: true });
    const whole = Buffer.alloc(2 * partBytes, "even");
    await writeFile(join(folder, "even", "even.pdpack"), whole);
    const connection = `provider=local-storage;catalog_path=${folder}`;
    const body = { catalog_id: "even", version: "1", architecture: "arm64", connection, machine_remote_path: "even/even.pdpack", size: 10 };
    const made = await call("PUT", "/api/v1/catalog/import-vm", { body });
    expect(made.status, made.text).toBe(200);
    const got = await pulled(await manifestFor(session(), "even", "1", "arm64"));
    expect([got.parts, got.pack.equals(whole)]).toEqual([3, true]);
    expect(JSON.parse(got.meta.toString())).toMatchObject({ catalog_id: "even", type: "pvm", pack_size: 2 * partBytes });
    expect(got.sum).toMatch(/^[0-9a-f]{32}$/);
    const beyond = { "X-JFrog-Art-Api": got.manifest.provider.meta.access_key, Range: `bytes=${2 * partBytes + 1}-` };
    expect((await fetch(addressOf(got.manifest, got.manifest.pack_filename), { headers: beyond })).status).toBe(416);
    expect((await call("DELETE", "/api/v1/catalog/even")).status).toBe(202);
    expect((await fetch(addressOf(got.manifest, got.manifest.pack_filename), { headers: { ...beyond, Range: "" } })).status).toBe(404);
  }, 120_000);

  keyTests(session);
}

function keyTests(session: () => Session): void {
  it("is given a key to one archive, not a store's, and for as long as it may have the image", async () => {
    const call = await session().loggedIn();
    const path = "/api/v1/catalog/fix-sonoma/1.0.0/arm64";
    const name = `puller-${Date.now()}`;
    const body = { username: name, name, email: `${name}@example.com`, password: rootPassword, roles: ["USER"] };
    const user = await call("POST", "/api/v1/auth/users", { body });
    const asUser = async (): Promise<Answer> => {
      const token = await session().logIn(undefined, { username: name, password: rootPassword });
      return session().plain("GET", `${path}/download`, { headers: { Authorization: `Bearer ${token}`, "X-Internal-Api-Client": "true" } });
    };
    expect(await asUser()).toMatchObject({ status: 403, body: { code: 403, message: expect.stringContaining("PULL_CATALOG_MANIFEST") } });
    const claims = `/api/v1/auth/users/${user.body.id}/claims`;
    expect((await call("POST", claims, { body: { name: "PULL_CATALOG_MANIFEST" } })).status).toBe(201);
    const manifest: Manifest = (await asUser()).body;
    const key = manifest.provider.meta.access_key;
    const at = addressOf(manifest, manifest.pack_filename);
    const status = async (address: string, token: string) =>
      (await fetch(address, { method: "HEAD", headers: { "X-JFrog-Art-Api": token } })).status;
    expect(await status(at, key)).toBe(200);
    const other = (await call("GET", "/api/v1/catalog/sonoma-mini")).body[0];
    expect(await status(at.replaceAll(manifest.provider.meta.repo, other.id), key)).toBe(404);
    expect(await status(`${at}.other`, key)).toBe(404);
    for (const wrong of ["", "garbage", `${key}x`, await session().logIn()]) expect(await status(at, wrong)).toBe(401);
    expect((await session().plain("GET", "/api/v2/whoami", { headers: { Authorization: `Bearer ${key}` } })).status).toBe(401);
    expect((await call("PATCH", `${path}/taint`)).status).toBe(200);
    expect(await status(at, key)).toBe(403);
    expect((await call("PATCH", `${path}/untaint`)).status).toBe(200);
    expect((await call("DELETE", `${claims}/PULL_CATALOG_MANIFEST`)).status).toBe(202);
    expect(await status(at, key)).toBe(404);
    expect((await call("DELETE", `/api/v1/auth/users/${user.body.id}`)).status).toBe(202);
    expect(await status(at, key)).toBe(404);
    expect((await call("GET", `${path}/download`)).body.provider).toEqual({ type: "drover" });
    expect((await call("DELETE", path)).status).toBe(202);
  }, 120_000);
}
