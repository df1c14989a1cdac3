/**
 * The existing clients of the Parallels DevOps contract, each playing its own requests against one embedded stack, unchanged.
 *
 * The one idea: the requests are sent byte for byte as the clients send them, and each answer is compared with the one that the contract's own service gave.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobDone, like, openSession, type Session } from "../api/clients/session.ts";
import { playGitHubAction } from "../api/clients/action.ts";
import { playConsole } from "../api/clients/console.ts";
import { playDisk } from "../api/clients/disk.ts";
import { playJenkins } from "../api/clients/jenkins.ts";
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
      await call("POST", "/api/v1/catalog/push/async", { body: { ...push, version: "1.1", connection: elsewhere } }),
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
});

describe("a host's own disk", () => playDisk(() => session));
describe("the Terraform provider", () => playTerraform(() => session));
describe("the GitHub Action", () => playGitHubAction(() => session));
describe("the Jenkins plugin", () => playJenkins(() => session));
describe("the VS Code extension", () => playVsCode(() => session));
describe("the web console", () => playConsole(() => session));
