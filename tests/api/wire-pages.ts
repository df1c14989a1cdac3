/** Smaller parts of the wire: Packer templates, the log, and routes that say what Drover does instead. */
import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import ssh2 from "ssh2";
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

  it("runs a command by SSH on a computer whose host key is known, and only there", async () => {
    const { privateKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      privateKeyEncoding: { type: "pkcs1", format: "pem" },
      publicKeyEncoding: { type: "pkcs1", format: "pem" },
    });
    const server = new ssh2.Server({ hostKeys: [privateKey] }, (client) => {
      client.on("error", () => undefined);
      client.on("authentication", (given) =>
        given.method === "password" && given.password === "right" ? given.accept() : given.reject(["password"]),
      );
      client.on("ready", () =>
        client.on("session", (accept) =>
          accept().on("exec", (allow, _deny, { command }) => {
            const stream = allow();
            stream.write(`ran ${command}\n`);
            stream.stderr.write("and said this\n");
            stream.exit(command === "false" ? 1 : 0);
            stream.end();
          }),
        ),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const body = { host: "127.0.0.1", port, username: "u", password: "right", command: "id" };
    const ssh = (more: object = {}) => as("POST", "/api/v1/ssh/execute", { ...body, ...more });
    const told = async (more: object, status: number, words: RegExp) => {
      const answer = await ssh(more);
      expect([answer.status, answer.body.message]).toEqual([status, expect.stringMatching(words)]);
      expect(answer.body.diagnostics.errors).toHaveLength(1);
    };
    try {
      for (const field of ["host", "username", "command", "password"]) await told({ [field]: "" }, 400, /required/);
      await told({}, 400, /host key SHA256:\S+ is not known/);
      expect((await ssh({ enable_insecure_key: true })).body).toEqual({ output: expect.stringContaining("ran id\n") });
      const shown = ssh2.utils.parseKey(privateKey);
      if (shown instanceof Error) throw shown;
      await writeFile(join(world().home, "known_hosts"), `[127.0.0.1]:${port} ssh-rsa ${shown.getPublicSSH().toString("base64")}\n`);
      expect((await ssh()).body.output).toContain("and said this");
      expect((await ssh({ command: "false" })).body).toMatchObject({ error: "Process exited with status 1" });
      await told({ password: "wrong" }, 400, /does not accept the credentials/);
      await told({ host: "169.254.169.254" }, 400, /not allowed/);
      await told({ host: "localhost" }, 400, /not allowed/);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    await told({}, 502, /ECONNREFUSED/);
    const [row] = await world().sql`select actor, subject from audit where action = 'ssh.execute' order by at desc limit 1`;
    expect(row).toEqual({ actor: "root", subject: `u@127.0.0.1:${port}` });
    for (const line of world().lines) expect(line).not.toContain('"right"');
  });

  it("judges a deployment and says how a host comes here instead", async () => {
    const body = { ssh_host: "mac", ssh_user: "admin", ssh_password: "hush", host_name: "mac-77" };
    const [known] = await world().sql`select name from hosts where id = ${hostId()}`;
    for (const path of ["deploy", "deploy/async"]) {
      const deploy = async (more: object) => {
        const { status, text } = await as("POST", `/api/v1/orchestrator/hosts/${path}`, { ...body, ...more });
        expect(text).not.toContain("hush");
        return [status, JSON.parse(text).message];
      };
      expect(await deploy({ ssh_host: "" })).toEqual([400, expect.stringContaining("ssh_host is required")]);
      expect(await deploy({ ssh_password: "" })).toEqual([400, expect.stringContaining("ssh_key is required")]);
      expect(await deploy({ host_name: known?.["name"] })).toEqual([409, expect.stringContaining("already exists")]);
      expect(await deploy({})).toEqual([400, expect.stringContaining("drover host enrol")]);
    }
  });

  it("says of tools what Drover does instead", async () => {
    const install = await as("POST", "/api/v1/config/tools/install", { tools: { packer: { version: "latest" } } });
    expect(install).toMatchObject({ status: 200, body: { success: false, installed_tools: { packer: { success: false } } } });
    expect((await as("POST", "/api/v1/config/tools/uninstall", {})).status).toBe(400);
    expect((await as("POST", "/api/v1/config/tools/restart")).status).toBe(400);
    for (const path of ["/api/v1/config/tools/install", "/api/v1/ssh/execute"]) expect((await world().call("POST", path)).status).toBe(401);
  });
}
