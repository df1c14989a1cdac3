/** Smaller parts of the wire: Packer templates, the log, and routes that say what Drover does instead. */
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { serveApi } from "../../api/serve.ts";
import { rootPassword } from "./world.ts";
import type { Talk } from "./wire-proxy.ts";

export function describePages({ world, hostId, as }: Talk): void {
  describe("Packer templates", () => {
    it("are kept, shown to whoever may see them, and built nowhere", async () => {
      const path = "/api/v1/templates/packer";
      const body = { id: "ubuntu", name: "Ubuntu", packer_folder: "ubuntu", variables: { ISO: "x" }, required_roles: ["ADMIN"] };
      expect(await as("POST", path, body)).toMatchObject({
        status: 200,
        body: { ...body, specs: { memory: "2048", cpu: "2", disk: "20480" } },
      });
      expect((await as("POST", path, { ...body, id: "UBUNTU" })).status).toBe(400);
      expect((await as("POST", path, { ...body, name: "" })).status).toBe(400);
      expect((await as("PUT", `${path}/Ubuntu`, { ...body, name: "Noble", specs: { cpu: "4" } })).body).toMatchObject({
        name: "Noble",
        specs: { cpu: "4" },
      });
      const user = { username: "viewer", name: "V", email: "v@example.com", password: "Correct-horse-8!" };
      await as("POST", "/api/v1/auth/users", user);
      const token = await world().login("viewer", user.password);
      expect((await world().call("GET", path, { token })).body).toEqual([]);
      expect((await world().call("GET", `${path}/ubuntu`, { token })).status).toBe(404);
      expect((await as("GET", path, undefined, { "X-Filter": "name=noble,i" })).body).toHaveLength(1);
      expect((await as("DELETE", `${path}/ubuntu`)).status).toBe(202);
      expect((await as("DELETE", `${path}/ubuntu`)).status).toBe(404);
      await as("POST", path, { id: "own", name: "Own", internal: true });
      for (const method of ["PUT", "DELETE"]) expect((await as(method, `${path}/own`, { name: "x" })).status).toBe(400);
      const build = await as("POST", "/api/v1/machines", { name: "built", packer_template: { template: "own" } });
      expect(build).toMatchObject({ status: 400, body: { message: expect.stringContaining("nothing is built") } });
    });
  });

  describe("the log", () => {
    it("is read and followed by super users only, without secrets", async () => {
      const secret = "hush-hush-hush";
      world().hub.log.info({ event: "told", nested: { token: secret }, url: `https://x/?access_token=${secret}` }, "something to find");
      const read = await as("GET", "/api/v1/logs?tail=50");
      expect([read.status, read.headers.get("Content-Type")]).toEqual([200, expect.stringContaining("text/plain")]);
      expect(read.text).toContain("something to find");
      expect(read.text).not.toContain(secret);
      expect((await as("GET", "/api/v1/logs?tail=x")).status).toBe(400);
      const token = await world().login("viewer", "Correct-horse-8!");
      for (const path of ["/api/v1/logs", "/api/v1/logs/stream"]) expect((await world().call("GET", path, { token })).status).toBe(401);
      for (const path of ["logs", "logs/stream"]) {
        expect((await as("GET", `/api/v1/orchestrator/hosts/${hostId()}/${path}`)).body.message).toContain("stays on that host");
        expect((await as("GET", `/api/v1/orchestrator/hosts/nope/${path}`)).status).toBe(404);
      }
    });

    it("streams each line as a frame, earlier ones first, to a token in the address", async () => {
      const served = await serveApi((request, connection) => world().app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
      const token = await world().login("root", rootPassword);
      const socket = new WebSocket(`ws://127.0.0.1:${served.port}/api/v1/logs/stream?tail=1&access_token=${token}`);
      const lines: string[] = [];
      try {
        world().hub.log.info("before the socket");
        await new Promise<void>((resolve, reject) => {
          socket.on("open", () => world().hub.log.info("after the socket"));
          socket.on("message", (line) => {
            lines.push(String(line));
            if (lines.some((one) => one.includes("after the socket"))) resolve();
          });
          socket.on("error", reject);
        });
        expect(lines.length).toBeGreaterThanOrEqual(2);
      } finally {
        socket.terminate();
        await served.close(100);
      }
    });
  });

  it("follows the log as text where the request is no WebSocket", async () => {
    const token = await world().login("root", rootPassword);
    const gone = new AbortController();
    const response = await world().app.request("/api/logs/stream?tail=1", {
      headers: { Authorization: `Bearer ${token}` },
      signal: gone.signal,
    });
    expect(response.headers.get("Content-Type")).toContain("text/plain");
    let text = "";
    for await (const bytes of response.body ?? []) {
      if (text === "") world().hub.log.info("told as text");
      text += new TextDecoder().decode(bytes);
      if (text.includes("told as text")) break;
    }
    gone.abort();
    expect(text.split("\n").length).toBeGreaterThan(2);
  });

  it("says of tools and SSH what Drover does instead", async () => {
    const install = await as("POST", "/api/v1/config/tools/install", { tools: { packer: { version: "latest" } } });
    expect(install).toMatchObject({ status: 200, body: { success: false, installed_tools: { packer: { success: false } } } });
    expect((await as("POST", "/api/v1/config/tools/uninstall", {})).status).toBe(400);
    expect((await as("POST", "/api/v1/config/tools/restart")).status).toBe(400);
    const ssh = await as("POST", "/api/v1/ssh/execute", { host: "x", port: 22, username: "u", command: "id" });
    expect(ssh).toMatchObject({ status: 400, body: { code: 400, diagnostics: { errors: [{ code: "400" }] } } });
    for (const path of ["/api/v1/config/tools/install", "/api/v1/ssh/execute"]) expect((await world().call("POST", path)).status).toBe(401);
  });
}
