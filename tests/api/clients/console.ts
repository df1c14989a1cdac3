/** The web console: jobs and their progress by WebSocket, junk bodies on power calls, snapshots, and settings of its user. */
import { once } from "node:events";
import { expect, it } from "vitest";
import { WebSocket } from "ws";
import { jobDone, like, stateOf, type Session } from "./session.ts";

export function playConsole(session: () => Session): void {
  it("logs in with all fields of its form, and keeps its settings", async () => {
    const { plain, loggedIn } = session();
    const form = { email: "root", username: "", password: "Correct-horse-9!", api_key: "" };
    like("auth-token/02-login-ok-username-ui", await plain("POST", "/api/v1/auth/token", { body: form }));
    const call = await loggedIn({ "X-SOURCE-ID": "DEVOPS_UI" });
    const config = (method: string, path: string, body?: object) => call(method, `/api/v1/user/configs${path}`, body ? { body } : {});
    like("user-configs/01-list-empty", await config("GET", ""));
    const theme = { slug: "ui-theme", name: "UI theme", type: "json", value: '{"mode":"dark"}' };
    const made = like("user-configs/02-create", await config("POST", "", theme));
    const again = like("user-configs/03-create-upsert", await config("POST", "", { ...theme, value: '{"mode":"light"}' }));
    expect(again.body).toMatchObject({ id: made.body.id, value: '{"mode":"light"}' });
    like("user-configs/04-create-bad-type", await config("POST", "", { ...theme, type: "float" }));
    like("user-configs/05-create-missing-slug", await config("POST", "", { name: "x" }));
    expect(like("user-configs/06-get-by-slug", await config("GET", "/UI-Theme")).body).toEqual(again.body);
    like("user-configs/07-get-by-id", await config("GET", `/${made.body.id}`));
    like("user-configs/11-update-creates", await config("PUT", "/sidebar", { name: "Sidebar", type: "bool", value: "true" }));
    expect(await config("PUT", "/sidebar", { value: "false" })).toMatchObject({
      status: 200,
      body: { name: "Sidebar", type: "bool", value: "false" },
    });
    expect((await config("DELETE", "/sidebar")).status).toBe(202);
    like("user-configs/14-delete-not-found", await config("DELETE", "/sidebar"));
  });

  it.each([
    ["/api/v1/machines", "machines", "ui-host"],
    ["/api/v1/orchestrator/machines", "orchestrator", "ui-fleet"],
  ])(
    "makes a machine as a job at %s and follows it to its end",
    async (base, type, name) => {
      const call = await session().loggedIn();
      const { address, architecture, connections } = session();
      const socket = new WebSocket(`ws://${address}/api/v1/ws/subscribe?event_types=job_manager&authorization=${await session().logIn()}`);
      const heard: { message: string; body?: { id?: string; progress?: number } }[] = [];
      socket.on("message", (data) => heard.push(JSON.parse(String(data))));
      await once(socket, "open");
      const body = {
        name,
        architecture,
        start_on_create: true,
        catalog_manifest: { catalog_id: "sonoma-mini", version: "1.0", connection: connections[0], specs: { cpu: "1", memory: "256" } },
      };
      const job = like("create-from-catalog/09-create-async", await call("POST", `${base}/async`, { body }));
      expect(job.body).toMatchObject({ job_type: type, job_operation: "create" });
      const ended = await jobDone(call, job.body.id);
      expect(ended).toMatchObject({ job_type: type, job_operation: "create", progress: 100, result_record_type: "virtual_machine" });
      like("jobs/11-get-create-completed", await call("GET", `/api/v1/jobs/${job.body.id}`));
      like("create-from-catalog/10-create-async-no-manifest", await call("POST", `${base}/async`, { body: { name: "x", architecture } }));
      while (!heard.some(({ message }) => message === "JOB_COMPLETED")) await once(socket, "message");
      const told = heard.filter(({ body: one }) => one?.id === job.body.id).map(({ message }) => message);
      expect(told[0]).toBe("JOB_CREATED");
      expect(told).toContain("JOB_UPDATED");
      socket.close();
      await stateOf(call, `${base}/${ended.result_record_id}`, "running");
      expect((await call("DELETE", `${base}/${ended.result_record_id}?force=true`)).status).toBe(202);
    },
    180_000,
  );

  it("powers with bodies that are no JSON, and takes, lists, reverts and deletes snapshots", async () => {
    const call = await session().loggedIn();
    const { connections, architecture } = session();
    const pulled = await call("PUT", "/api/v1/catalog/pull", {
      body: { catalog_id: "sonoma-mini", version: "1.0", architecture, machine_name: "ui-vm", connection: connections[0] },
    });
    const path = `/api/v1/machines/${pulled.body.machine_id}`;
    like("snapshots/01-list-empty", await call("GET", `${path}/snapshots`));
    const first = like(
      "snapshots/02-create",
      await call("POST", `${path}/snapshots`, { body: { snapshot_name: "clean", snapshot_description: "x" } }),
    );
    expect(first.body.snapshot_id).toMatch(/^[0-9a-f-]{36}$/);
    const second = await call("POST", `${path}/snapshots`, { body: { snapshot_name: "second" } });
    like("snapshots/06-list", await call("GET", `${path}/snapshots`));
    const tree = like("snapshots/07-tree", await call("GET", `${path}/snapshots?group=true`), "snapshots[].children[].children");
    expect(tree.body.snapshots[0].children[0].id).toBe(second.body.snapshot_id);
    like("snapshots/08-revert", await call("POST", `${path}/snapshots/${first.body.snapshot_id}/revert`, { body: {} }));
    like("snapshots/09-revert-not-found", await call("POST", `${path}/snapshots/00000000-0000-4000-8000-000000000000/revert`));
    // What is to be gone and is gone is no error here.
    expect((await call("DELETE", `${path}/snapshots/00000000-0000-4000-8000-000000000000`)).status).toBe(202);
    const left = async () => (await call("GET", `${path}/snapshots`)).body.snapshots ?? [];
    expect((await call("DELETE", `${path}/snapshots/${first.body.snapshot_id}`, { body: { delete_children: true } })).status).toBe(202);
    expect(await left()).toEqual([]);
    expect((await call("PUT", `${path}/start`)).body.status).toBe("Success");
    const live = (await call("POST", `${path}/snapshots`, { body: { snapshot_name: "live" } })).body.snapshot_id;
    for (const [skip_resume, state] of [
      [true, "suspended"],
      [false, "running"],
    ] as const) {
      expect((await call("POST", `${path}/snapshots/${live}/revert`, { body: { skip_resume } })).status).toBe(202);
      expect((await call("GET", path)).body.State, `skip_resume ${skip_resume}`).toBe(state);
    }
    expect((await call("PUT", `${path}/stop`)).body.status).toBe("Success");
    like("snapshots/13-delete-all", await call("DELETE", `${path}/snapshots`));
    like("snapshots/14-list-vm-not-found", await call("GET", "/api/v1/machines/no-such-vm/snapshots"));
    for (const [verb, raw] of [
      ["start", "[object Object]"],
      ["pause", "{"],
      ["resume", "null"],
      ["stop", "undefined"],
    ] as const)
      expect((await call("PUT", `${path}/${verb}`, { raw })).body, verb).toMatchObject({ status: "Success" });
    like("machines/56-rename", await call("PUT", `${path}/rename`, { body: { new_name: "ui-renamed", description: "told" } }));
    like("machines/57-rename-no-name", await call("PUT", `${path}/rename`, { body: {} }));
    expect((await call("DELETE", path)).status).toBe(202);
  }, 180_000);

  it("removes jobs from its list", async () => {
    const call = await session().loggedIn();
    like("jobs/03-list-running", await call("GET", "/api/v1/jobs"), "[].steps");
    const [first] = (await call("GET", "/api/v1/jobs")).body;
    expect((await call("DELETE", `/api/v1/jobs/${first.id}`)).status).toBe(204);
    like("jobs/14-get-not-found", await call("GET", `/api/v1/jobs/${first.id}`));
    like("jobs/19-delete-cleanup", await call("DELETE", "/api/v1/jobs/cleanup"));
    expect((await call("GET", "/api/v1/jobs")).body).toEqual([]);
    like("jobs/14-get-not-found", await call("GET", "/api/v1/jobs/nope"));
  });

  it("removes images at each level", async () => {
    const call = await session().loggedIn();
    const { architecture } = session();
    expect((await call("PATCH", `/api/v1/catalog/sonoma-mini/1.1/${architecture}/revoke`)).body.revoked).toBe(true);
    like("catalog/52-download-revoked", await call("GET", `/api/v1/catalog/sonoma-mini/1.1/${architecture}/download`));
    const pull = { catalog_id: "sonoma-mini", version: "1.1", architecture, machine_name: "revoked" };
    like("pull/11-pull-revoked", await call("PUT", "/api/v1/catalog/pull", { body: pull }));
    expect((await call("DELETE", "/api/v1/catalog/sonoma-mini/1.1?clean_remote=true")).status).toBe(202);
    like("catalog/03-get-unknown-version", await call("GET", "/api/v1/catalog/sonoma-mini/1.1"));
    like("catalog/46-delete-record-only", await call("DELETE", `/api/v1/catalog/sonoma-mini/1.0/${architecture}`));
    like("catalog/47-delete-record-only-again", await call("DELETE", `/api/v1/catalog/sonoma-mini/1.0/${architecture}`));
    expect((await call("GET", "/api/v1/catalog/sonoma-mini")).body).toEqual([]);
  });
}
