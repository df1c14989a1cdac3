/** The VS Code extension: it wants exactly 200 where others want any success, powers and clones by `set`, and sends bodies with DELETE. */
import { once } from "node:events";
import { expect, it } from "vitest";
import { WebSocket } from "ws";
import { like, stateOf, type Session } from "./session.ts";

export function playVsCode(session: () => Session): void {
  it("lists what its trees show, with exactly the statuses that it wants", async () => {
    const call = await session().loggedIn({ "X-SOURCE-ID": "VSCODE_EXTENSION", "X-LOGGING": "IGNORE" });
    const list = like("catalog/16-list", await call("GET", "/api/v1/catalog"));
    expect(list.body.map((one: object) => Object.keys(one))).toEqual([["SONOMA-MINI"]]);
    like("config/01-hardware", await call("GET", "/api/v1/config/hardware"));
    const inCache = ["cache_metadata_name", "cache_used_count"].map((key) => `manifests[].${key}`);
    like("cache/01-list", await call("GET", "/api/v1/catalog/cache"), ...inCache);
    for (const path of ["cache", "catalog/cache"])
      like("orchestrator-hosts/24-cache", await call("GET", `/api/v1/orchestrator/hosts/${session().hostId}/${path}`), ...inCache);
    like("orchestrator-hosts/09-list", await call("GET", "/api/v1/orchestrator/hosts"), "[].tags");
    like("orchestrator-hosts/15-overview", await call("GET", "/api/v1/orchestrator/overview/resources"));
    like("orchestrator-machines/03-list", await call("GET", "/api/v1/orchestrator/machines"));
    like("auth-users/01-list", await call("GET", "/api/v1/auth/users"));
    like("auth-roles/01-list", await call("GET", "/api/v1/auth/roles"));
    // Claims that somebody made, or an import, have neither an action nor a resource.
    like("auth-claims/01-list", await call("GET", "/api/v1/auth/claims"), "[].users", "[].action", "[].resource");
    expect((await call("GET", "/api/v1/version")).status).toBe(200);
    like("config/04-diskspace", await call("POST", "/api/v1/config/diskspace", { body: { username: "root" } }));
    const groups = (await call("GET", "/api/v1/auth/claims/grouped")).body;
    expect(groups[0].group).toBe("Administration");
    expect(groups[0].resources[0].claims[0]).toMatchObject({ internal: true, action: expect.any(String) });
    expect(await call("GET", "/api/v1/reverse-proxy/hosts")).toMatchObject({ status: 200, body: [] });
  });

  it("switches hosts off and on", async () => {
    const call = await session().loggedIn();
    const host = `/api/v1/orchestrator/hosts/${session().hostId}`;
    expect((await call("PUT", `${host}/disable`)).body.enabled).toBe(false);
    expect(like("orchestrator-hosts/20-enable", await call("PUT", `${host}/enable`), "tags").body.enabled).toBe(true);
    like("orchestrator-hosts/17-update", await call("PUT", host, { body: { tags: ["ci"] } }));
    like("orchestrator-hosts/21-enable-not-found", await call("PUT", "/api/v1/orchestrator/hosts/nope/enable"));
    like("orchestrator-hosts/22-delete-not-found", await call("DELETE", "/api/v1/orchestrator/hosts/nope"));
  });

  it("marks, restricts and tags images, with bodies on DELETE", async () => {
    const call = await session().loggedIn();
    const image = `/api/v1/catalog/sonoma-mini/1.1/${session().architecture}`;
    const edit = (method: string, what: string, body: object) => call(method, `${image}/${what}`, { body });
    like("catalog/25-taint", await call("PATCH", `${image}/taint`));
    like("catalog/26-download-tainted", await call("GET", `${image}/download`));
    like("catalog/27-untaint", await call("PATCH", `${image}/untaint`));
    like("catalog/29-taint-not-found", await call("PATCH", "/api/v1/catalog/nope/1/arm64/taint"));
    like("catalog/30-roles-add", await edit("PATCH", "roles", { required_roles: ["ADMIN"] }));
    like("catalog/32-roles-remove", await edit("DELETE", "roles", { required_roles: ["ADMIN"] }));
    like("catalog/33-roles-add-empty", await edit("PATCH", "roles", { required_roles: [] }));
    expect((await edit("PATCH", "claims", { required_claims: ["LIST_VM"] })).body.required_claims).toEqual(["LIST_VM"]);
    like("catalog/35-claims-remove", await edit("DELETE", "claims", { required_claims: ["LIST_VM"] }));
    like("catalog/37-tags-add", await edit("PATCH", "tags", { tags: ["nightly"] }));
    like("catalog/38-tags-remove", await edit("DELETE", "tags", { tags: ["nightly"] }));
    like("catalog/41-metadata", await call("PUT", `${image}/metadata`, { body: { description: "edited" } }));
  });

  it("makes a machine, hears its states by WebSocket, powers, clones and removes it", async () => {
    const call = await session().loggedIn();
    const { address, architecture, connections } = session();
    const socket = new WebSocket(
      `ws://${address}/api/v1/ws/subscribe?event_types=pdfm,orchestrator&access_token=${await session().logIn()}`,
    );
    const heard: { message: string; body?: { current_state?: string } }[] = [];
    socket.on("message", (data) => heard.push(JSON.parse(String(data))));
    await once(socket, "open");
    const body = {
      name: "code vm",
      architecture,
      catalog_manifest: { catalog_id: "SONOMA-MINI", version: "1.0", connection: connections[1], specs: { cpu: "1", memory: "256" } },
    };
    const made = like("create-from-catalog/02-create-sync-specs", await call("POST", "/api/v1/machines", { body }));
    const path = `/api/v1/machines/${made.body.id}`;
    const set = async (...operations: object[]) => (await call("PUT", `${path}/set`, { body: { operations } })).body.operations[0].status;
    expect(await set({ group: "state", operation: "start" })).toBe("Success");
    await stateOf(call, path, "running");
    expect(await set({ group: "state", operation: "suspend" })).toBe("Success");
    expect(await set({ group: "state", operation: "resume" })).toBe("Success");
    expect(await set({ group: "state", operation: "stop" })).toBe("Success");
    expect(await set({ group: "machine", operation: "clone", options: [{ flag: "name", value: "code clone" }] })).toBe("Success");
    for (const name of ["code vm", "code clone"])
      expect((await call("DELETE", `/api/v1/machines/${encodeURIComponent(name)}`)).status).toBe(202);
    while (!heard.some(({ message }) => message === "VM_REMOVED")) await once(socket, "message");
    const states = heard.filter(({ message }) => message === "VM_STATE_CHANGED").map(({ body: told }) => told?.current_state);
    expect(states).toEqual(expect.arrayContaining(["running", "suspended", "stopped"]));
    expect(heard.some(({ message }) => message === "HOST_VM_STATE_CHANGED")).toBe(true);
    socket.close();
  }, 180_000);
}
