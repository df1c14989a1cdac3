/** `drover store ...` against the real API: what is kept has worked, what is used stays, and what is secret is told to nobody. */
import { randomUUID } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveApi, type Served } from "../../api/serve.ts";
import { requestPush } from "../../control/catalog.ts";
import { listHosts } from "../../db/hosts.ts";
import { makeConfigured } from "../../db/stores.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { storeRights } from "../../domain/catalog/store-trial.ts";
import { folderStore } from "../../stores/folder.ts";
import { claimStore } from "../../stores/identity.ts";
import { keptStores } from "../../workers/kept-stores.ts";
import { openWorld, rootPassword, type World } from "../api/world.ts";
import { typing } from "../cli/typed.ts";
import { addHost, addImage, asked, codeOf } from "../control/hub.ts";
import { startArtifactoryServer, type ArtifactoryServer } from "./artifactory-server.ts";
import { startMiddleman, type Middleman } from "./middleman.ts";

let world: World;
let served: Served;
let server: ArtifactoryServer;
let way: Middleman;
let folder: string;
const drover = typing(() => folder);
const told: string[] = [];
const run = async (args: readonly string[], given: Parameters<typeof drover>[1] = {}) => {
  const answer = await drover(["store", ...args], given);
  told.push(answer.out, answer.err);
  return answer;
};
const shown = async (name: string) => JSON.parse((await run(["show", name, "--json"])).out) as Record<string, unknown>;
const location = (more = "") => `artifactory://${server.repo}/team${more}/?endpoint=${encodeURIComponent(`${way.endpoint}/artifactory`)}`;

beforeAll(async () => {
  [world, server, folder] = await Promise.all([openWorld(), startArtifactoryServer(), mkdtemp(join(tmpdir(), "drover-store-commands-"))]);
  way = await startMiddleman(server.endpoint);
  Object.assign(world.hub.stores, keptStores(world.control));
  served = await serveApi((request) => world.app.fetch(request), { host: "127.0.0.1", port: 0 });
  const env = { DROVER_PASSWORD: rootPassword };
  await drover(["login", `http://127.0.0.1:${served.port}`, "--username", "root"], { env });
  await writeFile(join(folder, "token.txt"), `# for the repository\ntoken=${server.token}\n`);
}, 60_000);
afterAll(async () => {
  await served.close(0);
  await Promise.all([world.close(), server.stop(), way.stop()]);
  await rm(folder, { recursive: true, force: true });
});

describe("drover store", () => {
  it("adds a store with credentials from a file, standard input or a variable, and only once it was reached with them", async () => {
    const lines = { apiKey: `api_key=${server.apiKey}`, basic: `username=${server.username}\npassword=${server.password}\n` };
    expect((await run(["add", "by-file", location("-1"), "--credentials-file", "token.txt"])).exitCode).toBe(0);
    expect((await run(["add", "by-input", location("-2"), "--credentials-file", "-"], { input: lines.basic })).exitCode).toBe(0);
    const env = { SECRET: lines.apiKey };
    expect((await run(["add", "by-variable", location("-3"), "--credentials-env", "SECRET"], { env })).exitCode).toBe(0);
    const refused = await run(["add", "wrong", location("-4"), "--credentials-file", "-"], { input: "token=not-the-token" });
    expect(refused).toMatchObject({ exitCode: 8, err: expect.stringContaining("(store_denied)") });
    expect(JSON.parse((await run(["list", "--json"])).out).map(({ name }: { name: string }) => name)).toEqual([
      "by-file",
      "by-input",
      "by-variable",
    ]);
  });

  it.each([
    [["add", "x", "ftp://somewhere"], 2, "A store is written as"],
    [["add", "x", "s3://images/?colour=red"], 2, 'has no parameter "colour"'],
    [["add", "x", "folder:/tmp", "--credentials-file", "token.txt"], 2, "takes no credentials"],
    [
      ["add", "x", "azure://account/images", "--credentials-file", "token.txt"],
      2,
      "The credentials of a store of kind azure are account_key or sas.",
    ],
    [["add", "x", "artifactory://r?endpoint=http://127.0.0.1:9"], 2, "api_key, token, or username and password"],
    [["add", "x", "folder:/tmp", "--credentials-file", "none.txt"], 2, "cannot be read"],
    [["edit", "by-file"], 2, "nothing to change"],
    [["show", "none"], 4, "(store_not_found)"],
    [["default", "none"], 4, "(store_not_found)"],
    [["test", "none"], 4, "(store_not_found)"],
  ] as const)("says what is wrong with %j", async (args, exitCode, words) => {
    expect(await run(args)).toMatchObject({ exitCode, err: expect.stringContaining(words) });
  });

  it("changes names, credentials and the way to the same place, once it was found there, and never the place", async () => {
    const elsewhere = location("-1").replace(encodeURIComponent(way.endpoint), encodeURIComponent(new URL(server.endpoint).origin));
    expect((await run(["edit", "by-file", "--name", "depot", "--location", elsewhere])).exitCode).toBe(0);
    expect(await shown("depot")).toMatchObject({ name: "depot", location: elsewhere });
    expect((await run(["edit", "depot", "--location", location("-1")])).exitCode).toBe(0);
    expect(await run(["edit", "depot", "--location", location("-9")])).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining("is another store"),
    });
    expect(await run(["edit", "depot", "--name", "by-input"])).toMatchObject({
      exitCode: 5,
      err: expect.stringContaining("(store_exists)"),
    });
    const wrong = await run(["edit", "depot", "--credentials-file", "-"], { input: "token=not-the-token" });
    expect(wrong).toMatchObject({ exitCode: 8, err: expect.stringContaining("(store_denied)") });
    expect((await run(["test", "depot"])).exitCode).toBe(0);
  });

  it("tries every right, one line each, and ends honestly", async () => {
    const { exitCode, out } = await run(["test", "depot"]);
    expect(exitCode).toBe(0);
    expect(out.trim().split("\n")).toHaveLength(storeRights.length);
    expect(out).toMatch(/^ok +belongs to this hub/m);
    expect(out).toMatch(/^by the hub +signs a request by which a host reads/m);
    way.lie = ({ method }) => (method === "DELETE" ? { status: 403 } : null);
    const failing = await run(["test", "depot", "--json"]);
    way.lie = () => null;
    expect(failing.exitCode).toBe(6);
    const { passed, rights } = JSON.parse(failing.out);
    expect(passed).toBe(false);
    expect(rights.filter(({ state }: { state: string }) => state === "failed")).toMatchObject([
      { right: "remove", message: expect.stringContaining("refuses access") },
    ]);
    const broken = join(folder, "broken");
    await mkdir(broken);
    expect((await run(["add", "broken", `folder:${broken}`])).exitCode).toBe(0);
    expect((await run(["test", "broken"])).exitCode).toBe(0);
    expect((await readdir(join(broken, ".drover", "v1", "trials"))).length).toBe(0);
    await rm(broken, { recursive: true });
    const gone = await run(["test", "broken"]);
    expect(gone).toMatchObject({ exitCode: 6, out: expect.stringMatching(/^FAILED +belongs to this hub/m) });
  });

  it("adds a catalog of others without a trace, and writes nothing to it until an operator says so", async () => {
    const catalog = join(folder, "catalog");
    await cp(new URL("../pdpack/fixtures/gzip/", import.meta.url), catalog, { recursive: true });
    const before = await readdir(catalog, { recursive: true });
    expect((await run(["add", "theirs", `folder:${catalog}`, "--read-only"])).exitCode).toBe(0);
    expect(await shown("theirs")).toMatchObject({ readOnly: true });
    const tried = await run(["test", "theirs"]);
    expect(tried).toMatchObject({ exitCode: 0, out: expect.stringMatching(/^not needed +takes an object +Nothing is written to it/m) });
    expect(tried.out).toMatch(/^ok +gives a part of an object back/m);
    // Asked for once more, as whoever pushes by a connection string does.
    expect((await run(["add", "theirs", `folder:${catalog}`])).exitCode).toBe(0);
    for (const args of [
      ["default", "theirs"],
      ["gc", "theirs", "--detach"],
      ["check", "theirs", "--detach"],
      ["scrub", "theirs", "--detach"],
    ])
      expect(await run(args), args[0]).toMatchObject({ exitCode: 5, err: expect.stringContaining("(store_read_only)") });
    const { db } = world.control;
    await addHost(world);
    const [host] = await listHosts(db);
    const push = { path: "/machines/a.pvm", hostId: host?.id, catalogId: "a", storeId: (await shown("theirs"))["id"] };
    expect(codeOf(await requestPush(world.control, NewImageVersion.parse(push), asked()))).toBe("store_read_only");
    expect(await readdir(catalog, { recursive: true })).toEqual(before);

    expect((await run(["edit", "theirs", "--read-write"])).exitCode).toBe(0);
    expect((await readdir(catalog)).includes("store.json")).toBe(true);
    expect(await shown("theirs")).toMatchObject({ readOnly: false });
    expect((await run(["edit", "theirs", "--read-only"])).exitCode).toBe(0);
    expect(await run(["edit", "theirs", "--read-only", "--read-write"])).toMatchObject({ exitCode: 2 });
  });

  it("takes a catalog that an import names, and that may not be written to, as one that is only read", async () => {
    const named = { location: location("-import"), credentials: { token: server.token } };
    const { actor } = asked();
    const root = { ...actor, isSuperUser: true };
    way.lie = ({ method }) => (method === "PUT" ? { status: 403 } : null);
    await expect(world.hub.stores.add(named, root)).rejects.toMatchObject({ fault: { code: "store_denied" } });
    const added = unwrap(await world.hub.stores.add({ ...named, readOnly: "where refused" }, root));
    expect(added).toMatchObject({ readOnly: true });
    way.lie = () => null;
    // It stays so until somebody says otherwise, whoever names it.
    expect(unwrap(await world.hub.stores.add(named, root))).toMatchObject({ id: added.id, readOnly: true });
    const wrong = { ...named, location: location("-wrong"), credentials: { token: "not-the-token" }, readOnly: "where refused" } as const;
    await expect(world.hub.stores.add(wrong, root)).rejects.toMatchObject({ fault: { code: "store_denied" } });
  });

  it("takes a catalog that another hub writes to as one that is only read, where it is only to be read", async () => {
    const there = join(folder, "of-another-hub");
    await mkdir(there);
    await claimStore(folderStore(there), randomUUID(), new AbortController().signal);
    const root = { ...asked().actor, isSuperUser: true };
    const named = { location: `folder:${there}` };
    await expect(world.hub.stores.add(named, root)).rejects.toMatchObject({ fault: { code: "store_foreign" } });
    expect(unwrap(await world.hub.stores.add({ ...named, readOnly: "where refused" }, root))).toMatchObject({ readOnly: true });
  });

  it("keeps limits, and lifts them", async () => {
    expect((await run(["edit", "depot", "--max-bandwidth", "200MB", "--max-requests", "8"])).exitCode).toBe(0);
    expect(await shown("depot")).toMatchObject({ maxBytesPerSecond: 200 * 1024 ** 2, maxRequests: 8 });
    expect((await run(["show", "depot"])).out).toMatch(/bandwidth +200 MiB per second at most/);
    expect((await run(["edit", "depot", "--max-bandwidth", "none"])).exitCode).toBe(0);
    expect(await shown("depot")).toMatchObject({ maxBytesPerSecond: null, maxRequests: 8 });
    for (const [option, value, words] of [
      ["--max-bandwidth", "fast", "must be a size such as 512M or 8G, or none"],
      ["--max-bandwidth", "1k", "65536"],
      ["--max-requests", "0", ">=1"],
    ] as const)
      expect(await run(["edit", "depot", option, value])).toMatchObject({ exitCode: 2, err: expect.stringContaining(words) });
  });

  it("has one default, which a restart with the same configuration does not take back", async () => {
    const id = String((await shown("by-input"))["id"]);
    expect(await makeConfigured(world.control.db, id)).toMatchObject({ isDefault: true });
    expect((await run(["default", "depot"])).exitCode).toBe(0);
    expect(await makeConfigured(world.control.db, id)).toMatchObject({ isDefault: false });
    expect(await shown("depot")).toMatchObject({ isDefault: true });
    const other = String((await shown("by-variable"))["id"]);
    expect(await makeConfigured(world.control.db, other)).toMatchObject({ isDefault: true });
  });

  it("forgets a store that nothing points to, and no other", async () => {
    expect(await run(["remove", "by-variable"])).toMatchObject({ exitCode: 5, err: expect.stringContaining("it is the default store") });
    await addImage(world, String((await shown("depot"))["id"]), "kept");
    expect(await run(["remove", "depot"])).toMatchObject({ exitCode: 5, err: expect.stringContaining("1 version lies in it") });
    expect((await run(["remove", "by-input"])).exitCode).toBe(0);
    expect((await run(["show", "by-input"])).exitCode).toBe(4);
    const lines = { input: `token=${server.token}` };
    expect((await run(["add", "again", location("-2"), "--credentials-file", "-"], lines)).exitCode).toBe(0);
  });

  it("tells no secret: not on the terminal, not in the log, not in a row", async () => {
    const rows = await world.sql`select row_to_json(stores)::text as text from stores`;
    const written = [...told, ...world.lines, ...rows.map(({ text }) => String(text))].join("\n");
    for (const secret of [server.token, server.apiKey, server.password, "not-the-token"]) expect(written).not.toContain(secret);
  });
});
