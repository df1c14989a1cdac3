/**
 * The existing clients of the Parallels DevOps contract, each playing its own requests against one embedded stack, unchanged.
 *
 * The one idea: the requests are sent byte for byte as the clients send them, and each answer is compared with the one that the contract's own service gave.
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobDone, like, openSession, type Session } from "../api/clients/session.ts";
import { playGitHubAction } from "../api/clients/action.ts";
import { playConsole } from "../api/clients/console.ts";
import { playDisk } from "../api/clients/disk.ts";
import { playJenkins } from "../api/clients/jenkins.ts";
import { playManagers } from "../api/clients/managers.ts";
import { playService } from "../api/clients/service.ts";
import { playTerraform } from "../api/clients/terraform.ts";
import { playVsCode } from "../api/clients/vscode.ts";

let session: Session;
beforeAll(async () => {
  session = await openSession();
}, 180_000);
afterAll(() => session?.close(), 60_000);

describe("whoever fills the catalog", () => {
  it("pushes a bundle of a host at once, and as a job", async () => {
    const call = await session.loggedIn();
    const { architecture, bundlePath, connections, stack } = session;
    const needs = { required_roles: [], required_claims: [], minimum_requirements: { cpu: 1, memory: 128, disk: 1 } };
    const push = { local_path: bundlePath, catalog_id: "sonoma-mini", architecture, description: "tiny", tags: ["ci"], ...needs };
    const first = { ...push, version: "1.0", connection: connections[1] };
    const done = like("catalog/05-push-plain", await call("POST", "/api/v1/catalog/push", { body: first }));
    expect(done.body).toMatchObject({ catalog_id: "sonoma-mini", version: "1.0", architecture, type: "pvm" });
    const elsewhere = `provider=local-storage;catalog_path=${join(stack.home, "other")}`;
    const job = like(
      "jobs/01-push-async",
      await call("POST", "/api/v1/catalog/push/async", { body: { ...push, version: "1.1", tags: ["next"], connection: elsewhere } }),
    );
    expect(await jobDone(call, job.body.id)).toMatchObject({
      job_type: "catalog",
      job_operation: "push",
      progress: 100,
      result_record_type: "catalog_manifest",
    });
    like("jobs/06-get-completed", await call("GET", `/api/v1/jobs/${job.body.id}`));
    like(
      "catalog/10-push-bad-path",
      await call("POST", "/api/v1/catalog/push", { body: { ...first, version: "9", local_path: `${bundlePath}-nowhere` } }),
    );
    like("catalog/16-list", await call("GET", "/api/v1/catalog"));
  }, 180_000);

  it("registers a version that another service has pushed, and keeps the store that its files lie in", async () => {
    const call = await session.loggedIn();
    const folder = join(session.stack.home, "of-another-service");
    await cp(fileURLToPath(new URL("../pdpack/fixtures/plain", import.meta.url)), folder, { recursive: true });
    const body = { catalog_id: "fix-sonoma", version: "1.0.0", architecture: "arm64" };
    like("catalog/45-post-manifest-no-arch", await call("POST", "/api/v1/catalog", { body: { ...body, architecture: "" } }));
    expect((await call("POST", "/api/v1/catalog", { body })).body.message).toContain("provider");
    const provider = { type: "local-storage", meta: { catalog_path: folder } };
    const made = await call("POST", "/api/v1/catalog", { body: { ...body, provider } });
    expect([made.status, made.body]).toEqual([200, expect.objectContaining({ version: "1.0.0", architecture: "arm64", type: "pvm" })]);
    expect((await call("POST", "/api/v1/catalog", { body: { ...body, version: "2", provider } })).status).toBe(400);
    const path = "/api/v1/catalog/fix-sonoma/1.0.0/arm64";
    expect((await call("GET", path)).body.id).toBe(made.body.id);
    like("catalog/43-connection-empty", await call("PATCH", `${path}/connection`, { body: { connection: "" } }));
    const named = (where: string) => ({ body: { connection: `provider=local-storage;catalog_path=${where}` } });
    expect(await call("PATCH", `${path}/connection`, named(folder))).toMatchObject({ status: 200, body: { catalog_id: "FIX-SONOMA" } });
    expect((await call("PATCH", `${path}/connection`, named(`${folder}-2`))).body.message).toContain("push the version");
    expect((await call("DELETE", path)).status).toBe(202);
  }, 180_000);
});

describe("a host's own disk", () => playDisk(() => session));
describe("the service itself, to which this is a remote catalog", () => playService(() => session));
describe("another hub's catalog", () => playManagers(() => session));
describe("the Terraform provider", () => playTerraform(() => session));
describe("the GitHub Action", () => playGitHubAction(() => session));
describe("the Jenkins plugin", () => playJenkins(() => session));
describe("the VS Code extension", () => playVsCode(() => session));
describe("the web console", () => playConsole(() => session));
