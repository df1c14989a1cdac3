/** The Terraform provider: it logs in before every request, asks with a trailing slash, finds machines by filter, and reads "gone" from the body's code. */
import { expect, it } from "vitest";
import type { Caller } from "./caller.ts";
import { jobDone, like, rootPassword, stateOf, type Session } from "./session.ts";

/** Half of all logins are quicker than this on a busy computer with two cores; Argon2id alone takes longer. */
const quickLoginMs = 40;
/** Where even the smallest request takes milliseconds because others have the processors, a login takes some of those. */
const smallRequests = 10;

export function playTerraform(session: () => Session): void {
  const took: number[] = [];
  const call: Caller = async (method, path, sent = {}) => {
    const began = performance.now();
    const token = await session().logIn(session().plain, { email: "root@localhost", password: rootPassword });
    took.push(performance.now() - began);
    return session().plain(method, path, { ...sent, headers: { Authorization: `Bearer ${token}`, ...sent.headers } });
  };
  const catalogImage = (more: object = {}) => ({
    catalog_id: "sonoma-mini",
    version: "1.0",
    connection: session().connections[1],
    ...more,
  });
  const set = (id: string, ...operations: object[]) => call("PUT", `/api/v1/machines/${id}/set`, { body: { owner: "root", operations } });

  machineTests({ session, call, catalogImage, set });
  fleetTests({ session, call, catalogImage, set });
  accessTests(call);
  it("logs in quickly enough to do so before every request", async () => {
    expect(took.length).toBeGreaterThan(50);
    const small: number[] = [];
    for (let n = 0; n < 50; n++) {
      const began = performance.now();
      expect((await session().plain("GET", "/api/health/probe")).status).toBe(200);
      small.push(performance.now() - began);
    }
    expect(middleOf(took)).toBeLessThan(Math.max(quickLoginMs, smallRequests * middleOf(small)));
  });
}

const middleOf = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Infinity;

interface Playing {
  readonly session: () => Session;
  readonly call: Caller;
  catalogImage(more?: object): object;
  set(id: string, ...operations: object[]): ReturnType<Caller>;
}

function machineTests({ session, call, catalogImage, set }: Playing): void {
  let id = "";
  it("makes a machine from the catalog, sized and started, and finds it again", async () => {
    like("config/01-hardware", await call("GET", "/api/v1/config/hardware"));
    expect(await call("GET", "/api/v1/machines/", { headers: { "X-Filter": "name=tf-vm" } })).toMatchObject({ status: 200, body: [] });
    like(
      "catalog/22-get-arch",
      await call("GET", `/api/v1/catalog/SONOMA-MINI/1.0/${session().architecture}`),
      "last_downloaded_at",
      "last_downloaded_user",
      "download_count",
      "description",
    );
    const body = {
      name: "tf-vm",
      owner: "root",
      architecture: session().architecture,
      start_on_create: true,
      catalog_manifest: catalogImage({ machine_name: "tf-vm", specs: { cpu: "1", memory: "512" } }),
    };
    const made = like("create-from-catalog/01-create-sync", await call("POST", "/api/v1/machines/", { body }));
    expect(made.body).toMatchObject({ name: "tf-vm", owner: "root", current_state: "running" });
    id = made.body.id;
    const shown = like("create-from-catalog/03-get-created", await call("GET", `/api/v1/machines/${id.toUpperCase()}`));
    expect(shown.body).toMatchObject({
      ID: id,
      Name: "tf-vm",
      State: "running",
      Hardware: { cpu: { cpus: 1 }, memory: { size: "512Mb" } },
    });
    expect((await call("GET", "/api/v1/machines/", { headers: { "X-Filter": `ID=${id}` } })).body).toHaveLength(1);
    like("create-from-catalog/04-create-duplicate-name", await call("POST", "/api/v1/machines", { body }));
    like(
      "create-from-catalog/05-create-unknown-catalog",
      await call("POST", "/api/v1/machines", {
        body: { ...body, name: "tf-vm-x", catalog_manifest: catalogImage({ catalog_id: "no-such" }) },
      }),
    );
  }, 180_000);

  it("runs commands in it, with an environment", async () => {
    const { body } = await stateOf(call, `/api/v1/machines/${id}`, "running").then((status) => ({ body: status }));
    expect(body.ip_configured).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    const run = (command: string, environment?: object) =>
      call("PUT", `/api/v1/machines/${id}/execute`, { body: { command, ...(environment ? { environment_variables: environment } : {}) } });
    expect((await run("uname -s && echo second")).body).toEqual({ stdout: expect.stringMatching(/^\w+\nsecond$/), exit_code: 0 });
    expect(
      like("machines/22-execute-env", await run("echo $GREETING $OTHER", { GREETING: "hi there", OTHER: "it's 'quoted' \"twice\"" })).body,
    ).toEqual({ stdout: "hi there it's 'quoted' \"twice\"", exit_code: 0 });
    expect(like("machines/21-execute", await run("echo out; echo err >&2; exit 3")).body).toMatchObject({
      stdout: "out",
      stderr: "err",
      exit_code: 3,
    });
    expect(
      (await call("PUT", `/api/v1/machines/${id}/execute`, { body: { command: "echo sudo", use_sudo: true, user: "root" } })).body,
    ).toMatchObject({ stdout: "sudo", exit_code: 0 });
    like("machines/23-execute-no-command", await call("PUT", `/api/v1/machines/${id}/execute`, { body: {} }));
    like("machines/24-execute-malformed", await call("PUT", `/api/v1/machines/${id}/execute`, { raw: "{" }));
  }, 180_000);

  it("stops, changes, starts and clones it by lists of operations", async () => {
    const state = (operation: string) => ({ group: "state", operation, value: "", options: [], flags: [] });
    like("machines/38-set-state-stop", await set(id, state("stop")));
    like("machines/34-stop-already-stopped", await call("PUT", `/api/v1/machines/${id}/stop`));
    like("machines/49-set-stop-when-stopped", await set(id, { group: "cpu", operation: "set", value: "2" }, state("stop")));
    like(
      "machines/39-set-cpu-memory",
      await set(id, { group: "cpu", operation: "set", value: "1" }, { group: "memory", operation: "set", value: "256" }),
    );
    like(
      "machines/41-set-shared-folder",
      await set(
        id,
        { group: "shared-folder", operation: "add", value: "src", options: [{ flag: "path", value: "/tmp" }] },
        { group: "shared-folder", operation: "delete", value: "src" },
      ),
    );
    like(
      "machines/42-set-device-add",
      await set(id, { group: "device", operation: "add", value: "net", options: [{ flag: "type", value: "shared" }] }),
    );
    like(
      "machines/43-set-network-set",
      await set(id, { group: "network", operation: "set", value: "net0", options: [{ flag: "type", value: "shared" }] }),
    );
    like("machines/45-set-time", await set(id, { group: "time", operation: "set", value: "on" }));
    like("machines/46-set-rosetta", await set(id, { group: "rosetta", operation: "set", value: "on" }));
    like("machines/50-set-bad-group", await set(id, { group: "nope", operation: "set" }));
    like("machines/52-set-no-operations", await set(id));
    like("machines/53-set-malformed", await call("PUT", `/api/v1/machines/${id}/set`, { raw: "{" }));
    like("machines/54-set-not-found", await set("no-such-vm", state("start")));
    like("machines/48-set-machine-rename", await set(id, { group: "machine", operation: "rename", value: "tf-renamed" }));
    const clone = { group: "machine", operation: "clone", options: [{ flag: "name", value: "tf-clone" }], flags: [] };
    expect((await set("TF-Renamed", clone)).body.operations).toEqual([{ group: "machine", operation: "clone", status: "Success" }]);
    expect((await call("GET", "/api/v1/machines/tf-clone")).body.State).toBe("stopped");
    expect((await call("DELETE", "/api/v1/machines/tf-clone")).status).toBe(202);
    like("machines/37-set-state-start", await set(id, state("start")));
  }, 180_000);

  it("removes it, and reads from the answer's body that it is gone", async () => {
    like("machines/32-delete-running", await call("DELETE", `/api/v1/machines/${id}`));
    like("machines/70-delete-force-query", await call("DELETE", `/api/v1/machines/${id}?force=true`));
    expect(like("machines/68-get-deleted", await call("GET", `/api/v1/machines/${id}`)).body.code).toBe(404);
    expect(like("machines/69-delete-not-found", await call("DELETE", `/api/v1/machines/${id}`)).body.code).toBe(404);
    like("machines/36-start-not-found", await call("PUT", "/api/v1/machines/no-such-vm/start"));
  }, 180_000);
}

function fleetTests({ session, call, catalogImage }: Playing): void {
  it("does the same on the fleet, where a host is chosen", async () => {
    const { architecture, hostId } = session();
    like(
      "orchestrator-machines/38-create-no-arch",
      await call("POST", "/api/v1/orchestrator/machines", { body: { name: "x", catalog_manifest: catalogImage() } }),
    );
    like(
      "orchestrator-machines/39-create-no-match-tags",
      await call("POST", "/api/v1/orchestrator/machines", {
        body: { name: "x", architecture, selection_tags: ["gpu"], catalog_manifest: catalogImage() },
      }),
    );
    const made = like(
      "create-from-catalog/01-create-sync",
      await call("POST", "/api/v1/orchestrator/machines", {
        body: { name: "tf-fleet", architecture, catalog_manifest: catalogImage({ specs: { cpu: "1", memory: "256" } }) },
      }),
    );
    expect(made.body).toMatchObject({ host: expect.any(String), current_state: "stopped" });
    const path = `/api/v1/orchestrator/machines/${made.body.id}`;
    like("orchestrator-machines/12-status", await call("GET", `${path}/status`));
    like(
      "orchestrator-machines/15-set-start",
      await call("PUT", `${path}/set`, { body: { operations: [{ group: "state", operation: "start" }] } }),
    );
    like("orchestrator-machines/16-status-running", await call("GET", `${path}/status`));
    like("orchestrator-machines/18-get-running", await call("GET", path));
    like("orchestrator-machines/17-execute", await call("PUT", `${path}/execute`, { body: { command: "echo hi" } }));
    like(
      "orchestrator-machines/26-set-stop",
      await call("PUT", `${path}/set`, { body: { operations: [{ group: "state", operation: "stop" }] } }),
    );
    like("orchestrator-machines/29-execute-stopped", await call("PUT", `${path}/execute`, { body: { command: "echo hi" } }));
    expect((await call("DELETE", path)).status).toBe(202);
    like("orchestrator-machines/07-get-not-found", await call("GET", path));
    like("config/01-hardware", await call("GET", `/api/v1/orchestrator/hosts/${hostId}/hardware`));
    like("orchestrator-hosts/14-hardware-not-found", await call("GET", "/api/v1/orchestrator/hosts/nope/hardware"));
    like("orchestrator-hosts/15-overview", await call("GET", "/api/v1/orchestrator/overview/resources"));
    const added = await call("POST", "/api/v1/orchestrator/hosts", {
      body: { host: "http://10.0.0.9", authentication: { username: "root", password: "x" } },
    });
    expect(added).toMatchObject({ status: 400, body: { code: 400, message: expect.stringContaining("drover host enrol") } });
  }, 180_000);

  it("pulls: a machine is there afterwards, where the path says", async () => {
    const body = {
      catalog_id: "sonoma-mini",
      version: "1.1",
      architecture: session().architecture,
      machine_name: "tf-pulled",
      owner: "root",
      path: session().machineFolder,
      connection: session().connections[0],
    };
    const pulled = like("pull/03-pull-sync", await call("PUT", "/api/v1/catalog/pull", { body }), "manifest.untainted_by");
    expect(pulled.body.local_path).toContain(session().machineFolder);
    expect((await call("GET", `/api/v1/machines/${pulled.body.machine_id}`)).body.State).toBe("stopped");
    like("pull/05-pull-duplicate-name", await call("PUT", "/api/v1/catalog/pull", { body }));
    like(
      "pull/07-pull-unknown",
      await call("PUT", "/api/v1/catalog/pull", { body: { ...body, machine_name: "y", catalog_id: "no-such" } }),
    );
    expect((await call("PUT", "/api/v1/catalog/pull", { body: { ...body, machine_name: "outside", path: "/etc" } })).status).toBe(403);
    const job = await call("PUT", "/api/v1/catalog/pull/async", { body: { ...body, machine_name: "tf-pulled-2", start_after_pull: true } });
    const ended = await jobDone(call, like("pull/12-pull-async", job).body.id);
    expect(ended).toMatchObject({ job_type: "catalog", job_operation: "pull", result_record_type: "virtual_machine" });
    expect((await stateOf(call, "/api/v1/machines/tf-pulled-2", "running")).status).toBe("running");
    for (const name of ["tf-pulled", "tf-pulled-2"]) expect((await call("DELETE", `/api/v1/machines/${name}?force=true`)).status).toBe(202);
  }, 180_000);
}

function accessTests(call: Caller): void {
  const auth = (method: string, path: string, body?: object) => call(method, `/api/v1/auth${path}`, body ? { body } : {});
  it("manages users, roles, claims and keys", async () => {
    like("auth-claims/03-create", await auth("POST", "/claims", { name: "build agent" }));
    like("auth-claims/04-create-duplicate", await auth("POST", "/claims", { name: "BUILD_AGENT" }));
    like("auth-claims/08-get-internal", await auth("GET", "/claims/LIST_VM"), "users");
    like("auth-roles/02-create", await auth("POST", "/roles", { name: "ci runner", claims: ["LIST_VM"] }));
    like("auth-roles/09-claims-add", await auth("POST", "/roles/CI_RUNNER/claims", { name: "BUILD_AGENT" }));
    like("auth-roles/12-claims-remove-missing", await auth("DELETE", "/roles/CI_RUNNER/claims/DELETE_VM"));
    const made = like(
      "auth-users/02-create",
      await auth("POST", "/users", { username: "jdoe", name: "Jane Doe", email: "jane.doe@example.com", password: "Correct-horse-8!" }),
    );
    const user = `/users/${made.body.id}`;
    like("auth-users/01-list", await auth("GET", "/users"));
    like("auth-users/09-get-by-id", await auth("GET", user));
    like("auth-users/10-get-by-email", await auth("GET", "/users/Jane.Doe@Example.com"));
    like("auth-users/20-roles-add", await auth("POST", `${user}/roles`, { name: "CI_RUNNER" }));
    like("auth-users/21-roles-add-duplicate", await auth("POST", `${user}/roles`, { name: "CI_RUNNER" }));
    like("auth-users/19-roles-list", await auth("GET", `${user}/roles`), "[].claims[].action", "[].claims[].resource");
    like("auth-users/27-claims-add", await auth("POST", `${user}/claims`, { name: "BUILD_AGENT" }));
    like("auth-users/26-claims-list", await auth("GET", `${user}/claims`));
    like("auth-claims/11-delete-internal-in-use", await auth("DELETE", "/claims/BUILD_AGENT"));
    expect((await auth("DELETE", `${user}/claims/BUILD_AGENT`)).status).toBe(202);
    like("auth-users/24-roles-remove", await auth("DELETE", `${user}/roles/CI_RUNNER`));
    expect((await auth("PUT", user, { name: "Jane D." })).status).toBe(202);
    const key = like("auth-api-keys/02-create", await auth("POST", "/api_keys", { name: "tf key", key: "tf key", secret: "s3cret" }));
    like("auth-api-keys/07-list", await auth("GET", "/api_keys"), "[].revoked", "[].revoked_at", "[].expires_at");
    like("auth-api-keys/08-get-by-id", await auth("GET", `/api_keys/${key.body.id}`));
    like("auth-api-keys/10-get-not-found", await auth("GET", "/api_keys/nope"));
    like("auth-api-keys/13-revoke", await auth("PUT", `/api_keys/${key.body.id}/revoke`));
    expect((await auth("DELETE", "/api_keys/TF_KEY")).status).toBe(202);
    like("auth-roles/14-delete", await auth("DELETE", "/roles/CI_RUNNER"));
    like("auth-claims/09-delete", await auth("DELETE", "/claims/BUILD_AGENT"));
    like("auth-users/34-delete", await auth("DELETE", user));
    for (const [name, path] of [
      ["auth-users/12-get-not-found", "/users/jdoe"],
      ["auth-roles/07-get-not-found", "/roles/NO_SUCH"],
      ["auth-claims/07-get-not-found", "/claims/NO_SUCH"],
    ] as const)
      expect(like(name, await auth("GET", path)).body.code).toBe(404);
  }, 180_000);
}
