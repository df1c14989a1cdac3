/** The GitHub Action: it logs in once or sends a key, writes a double slash into the addresses of a host, and powers machines by GET. */
import { expect, it } from "vitest";
import type { Caller } from "./caller.ts";
import { jobDone, like, stateOf, type Session } from "./session.ts";

export function playGitHubAction(session: () => Session): void {
  it("tests the connection before anything else", async () => {
    const { plain } = session();
    like("health/01-probe", await plain("GET", "/api/health/probe"));
    const call = await session().loggedIn();
    like("health/04-system-full", await call("GET", "/api/v1/health/system?full=true"), "error_message");
    like("config/03-license", await call("GET", "/api/v1/config/parallels-desktop/license"));
  });

  it("pulls, starts, waits for the address, runs, clones, stops and deletes, with a password", async () => {
    await playJob(session(), await session().loggedIn({ "X-SOURCE-ID": "GITHUB_ACTION" }), "gh-password");
  }, 180_000);

  it("does all of it with a key in a header too", async () => {
    const { plain, loggedIn } = session();
    const made = await (await loggedIn())("POST", "/api/v1/auth/api_keys", { body: { name: "gh", key: "gh", secret: "s3cret-of-gh" } });
    const byKey: Caller = (method, path, sent = {}) =>
      plain(method, path, { ...sent, headers: { "X-Api-Key": made.body.encoded, ...sent.headers } });
    like("auth-api-keys/11-use-ok", await byKey("GET", "/api/v1/machines"));
    await playJob(session(), byKey, "gh-key");
    const push = { local_path: session().bundlePath, catalog_id: "by-key", version: "1", architecture: session().architecture };
    const job = await byKey("POST", "/api/v1/catalog/push/async", { body: { ...push, connection: session().connections[0] } });
    expect((await jobDone(byKey, job.body.id)).owner_email).toBe("root@localhost");
    expect((await byKey("DELETE", "/api/v1/catalog/by-key")).status).toBe(202);
    expect((await byKey("GET", "/api/v1/auth/users")).status).toBe(200);
    const token = await session().logIn(plain, { api_key: made.body.encoded });
    expect((await plain("GET", "/api/v1//machines", { headers: { Authorization: `Bearer ${token}` } })).status).toBe(200);
  }, 180_000);

  it("plays on the fleet as well", async () => {
    const call = await session().loggedIn();
    const { architecture, connections } = session();
    const body = {
      name: "gh-fleet",
      architecture,
      start_on_create: true,
      catalog_manifest: { catalog_id: "sonoma-mini", version: "1.0", connection: connections[0], specs: { cpu: "1", memory: "256" } },
    };
    const made = await call("POST", "/api/v1/orchestrator/machines", { body });
    expect(made.status).toBe(200);
    const path = `/api/v1/orchestrator/machines/${made.body.id}`;
    await stateOf(call, path, "running");
    expect((await call("PUT", `${path}/execute`, { body: { command: "echo fleet" } })).body.stdout).toBe("fleet");
    for (const verb of ["stop", "start", "suspend", "resume", "pause", "resume", "restart", "reset", "stop"])
      expect((await call(verb === "restart" ? "PUT" : "GET", `${path}/${verb}`)).body, verb).toMatchObject({ status: "Success" });
    like("orchestrator-machines/10-clone", await call("PUT", `${path}/clone`, { body: { clone_name: "gh-fleet-clone" } }));
    for (const name of ["gh-fleet", "gh-fleet-clone"])
      expect((await call("DELETE", `/api/v1/orchestrator/machines/${name}`)).status).toBe(202);
  }, 180_000);
}

async function playJob({ architecture, connections }: Session, call: Caller, name: string): Promise<void> {
  const pull = {
    catalog_id: "sonoma-mini",
    version: "1.0",
    architecture,
    machine_name: name,
    connection: connections[0],
    start_after_pull: false,
  };
  const pulled = await call("PUT", "/api/v1//catalog/pull", { body: pull });
  expect(pulled.status, pulled.text).toBe(200);
  const path = `/api/v1//machines/${pulled.body.machine_id}`;
  expect((await call("GET", `${path}/start`)).body).toEqual({ id: pulled.body.machine_id, operation: "Start", status: "Success" });
  like("machines/18-status-running", { ...(await call("GET", `${path}/status`)), body: await stateOf(call, path, "running") });
  const ran = await call("PUT", `${path}/execute`, { body: { command: "echo $RUNNER", environment_variables: { RUNNER: "ci" } } });
  expect(ran.body).toEqual({ stdout: "ci", exit_code: 0 });
  expect((await call("GET", `${path}/stop`)).body.operation).toBe("Stop");
  const clone = like("machines/14-clone", await call("PUT", `${path}/clone`, { body: { clone_name: `${name}-clone` } }));
  expect(clone.body.status).toBe("Success");
  expect((await call("DELETE", `/api/v1//machines/${clone.body.id}`)).status).toBe(202);
  like("machines/67-delete", await call("DELETE", path));
}
