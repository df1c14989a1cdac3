/** Whoever reaches another hub's catalog through this one; here the other one is this one too, by its address. */
import { execFile } from "node:child_process";
import { cp, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import type { MovingReport } from "../../../domain/moving/report.ts";
import { jobDone, rootPassword, type Session } from "./session.ts";

const run = promisify(execFile);

export function playManagers(session: () => Session): void {
  it("makes machines of an image behind a catalog manager, whose archive is copied once", async () => {
    const { address, architecture, stack } = session();
    const call = await session().loggedIn();
    const own = { name: "other", url: `http://${address}`, username: "root", password: rootPassword };
    const manager = (await call("POST", "/api/v1/catalog-managers", { body: own })).body;
    const pull = { catalog_id: "sonoma-mini", version: "1.0", architecture, machine_name: "through-1" };
    const made = await call("PUT", `/api/v1/catalog-managers/${manager.id}/catalog/pull`, { body: pull });
    expect([made.status, made.body], made.text).toMatchObject([
      200,
      { machine_name: "through-1", manifest: { catalog_id: "SONOMA-MINI" } },
    ]);
    const folder = join(stack.home, "store", `other-${manager.id.slice(0, 8)}.sonoma-mini`);
    const [file = "", ...more] = await readdir(folder);
    expect(more).toEqual([]);
    const { mtimeMs } = await stat(join(folder, file));

    const catalog_manifest = { catalog_id: "sonoma-mini", version: "1.0", catalog_manager_id: manager.id };
    const job = await call("POST", "/api/v1/machines/async", { body: { name: "through-2", architecture, catalog_manifest } });
    expect(job.body).toMatchObject({ job_type: "machines", job_operation: "create" });
    await jobDone(call, job.body.id);
    expect((await stat(join(folder, file))).mtimeMs).toBe(mtimeMs);
    for (const name of ["through-1", "through-2"]) {
      expect((await call("GET", `/api/v1/machines/${name}`)).body.State).toBe("stopped");
      await stack.json("machine", "delete", name);
    }
    const full = { ...pull, machine_name: "too big", version: "9" };
    const missed = await call("PUT", `/api/v1/catalog-managers/${manager.id}/catalog/pull`, { body: full });
    expect([missed.status, missed.body.message]).toEqual([400, expect.stringContaining("catalog manifest not found")]);
    expect((await call("DELETE", `/api/v1/catalog/other-${manager.id.slice(0, 8)}.sonoma-mini`)).status).toBe(202);
    expect((await call("DELETE", `/api/v1/catalog-managers/${manager.id}`)).status).toBe(200);
  }, 180_000);

  it("pushes a bundle of a host to the catalog behind it, by a store that both reach", async () => {
    const { address, architecture, bundlePath, stack } = session();
    const call = await session().loggedIn();
    const own = { name: "far", url: `http://${address}`, username: "root", password: rootPassword };
    const manager = (await call("POST", "/api/v1/catalog-managers", { body: own })).body;
    const at = `/api/v1/catalog-managers/${manager.id}/catalog/push`;
    const folder = join(stack.home, "both-reach");
    const push = {
      local_path: bundlePath,
      catalog_id: "sent-mini",
      version: "1.0",
      architecture,
      required_roles: ["ADMIN"],
      description: "",
    };
    const refused = await call("POST", at, { body: { ...push, connection: "" } });
    expect([refused.status, refused.body.message]).toEqual([400, expect.stringContaining("a store which both sides reach")]);
    const connection = `host=nobody:hush-hush@nowhere;provider=local-storage;catalog_path=${folder}`;
    const job = await call("POST", `${at}/async`, { body: { ...push, connection } });
    expect([job.status, job.body], job.text).toMatchObject([202, { job_type: "catalog", job_operation: "push" }]);
    await jobDone(call, job.body.id);
    const files = await readdir(join(folder, "sent-mini"));
    expect(files.map((file) => file.replace(/^.*\./, "")).toSorted()).toEqual(["meta", "pdpack"]);
    const [there] = (await call("GET", `/api/v1/catalog-managers/${manager.id}/catalog/sent-mini`)).body;
    expect(there).toMatchObject({ catalog_id: "SENT-MINI", version: "1.0", required_roles: ["ADMIN"] });
    const again = await call("POST", at, { body: { ...push, connection } });
    expect([again.status, again.body], again.text).toMatchObject([200, { catalog_id: "sent-mini", required_roles: ["ADMIN"] }]);
    for (const id of ["sent-mini", `far-${manager.id.slice(0, 8)}.sent-mini`])
      expect((await call("DELETE", `/api/v1/catalog/${id}`)).status).toBe(202);
    expect((await call("DELETE", `/api/v1/catalog-managers/${manager.id}`)).status).toBe(200);
  }, 180_000);

  it("hands an image out as one archive that any tar reads", async () => {
    const { address, architecture, stack, logIn } = session();
    const headers = { Authorization: `Bearer ${await logIn()}` };
    const at = `http://${address}/api/v2/images/sonoma-mini/1.0/${architecture}/archive`;
    for (const compress of ["true", "false"]) {
      const answer = await fetch(`${at}?compress=${compress}`, { headers });
      expect([answer.status, answer.headers.get("Content-Disposition")]).toEqual([200, expect.stringContaining(".pdpack")]);
      const file = join(stack.home, `image-${compress}.pdpack`);
      await writeFile(file, Buffer.from(await answer.arrayBuffer()));
      const { stdout } = await run("tar", ["-tvf", file, ...(compress === "true" ? ["-z"] : [])]);
      expect(stdout).toMatch(/ \/config\.pvs$/m);
    }
    const catalog_manifest = { catalog_id: "sonoma-mini", version: "1.0" };
    const made = await fetch(`http://${address}/api/v1/machines`, {
      method: "POST",
      headers,
      body: JSON.stringify({ name: "to be kept", architecture, catalog_manifest }),
    });
    expect(made.status).toBe(200);
    const machine = await fetch(`http://${address}/api/v2/machines/to%20be%20kept/archive`, { method: "POST", headers });
    expect(machine.status).toBe(200);
    const file = join(stack.home, "machine.pdpack");
    await writeFile(file, Buffer.from(await machine.arrayBuffer()));
    expect((await run("tar", ["-tzf", file])).stdout).toMatch(/^\/config\.pvs$/m);
    const versions = await stack.json<{ items?: unknown[] } | unknown[]>("image", "list");
    expect(JSON.stringify(versions)).not.toContain("machine-");
    await stack.json("machine", "delete", "to be kept");
    expect((await fetch(at.replace("sonoma-mini", "nothing"), { headers })).status).toBe(404);
    expect((await fetch(at)).status).toBe(401);
  }, 120_000);

  it("takes over the catalog of an installation, with the marks that only its database has, once", async () => {
    const { stack } = session();
    const call = await session().loggedIn();
    const folder = join(stack.home, "of-an-installation");
    await cp(fileURLToPath(new URL("../../pdpack/fixtures/plain", import.meta.url)), folder, { recursive: true });
    const provider = { type: "local-storage", meta: { catalog_path: folder } };
    const manifest = { catalog_id: "fix-sonoma", version: "1.0.0", architecture: "arm64", provider, tainted: true };
    const gone = { ...manifest, version: "9", provider: { type: "local-storage", meta: { catalog_path: join(stack.home, "nowhere") } } };
    const file = join(stack.home, "data.json");
    await writeFile(file, JSON.stringify({ catalog_manifests: [manifest, gone] }));
    const moved = async (...words: string[]) =>
      (await stack.json<MovingReport>("import", "devops", file, ...words)).items.map(({ what, note }) => [what, note]);
    const dry = await moved("--dry-run");
    expect(dry.map(([what]) => what)).toEqual(["added", "todo"]);
    const path = "/api/v1/catalog/fix-sonoma/1.0.0/arm64";
    expect((await call("GET", path)).status).toBe(404);
    expect(await moved()).toEqual([
      ["added", expect.stringMatching(/^imported from the store .*; fix-sonoma\/1\.0\.0\/arm64 is tainted as it was$/)],
      ["todo", expect.stringContaining("which this computer does not have")],
    ]);
    expect(await readdir(stack.home)).not.toContain("nowhere");
    expect((await call("GET", path)).body).toMatchObject({ version: "1.0.0", tainted: true });
    expect((await moved())[0]).toEqual(["kept", ""]);
    expect((await call("DELETE", path)).status).toBe(202);
  }, 120_000);
}
