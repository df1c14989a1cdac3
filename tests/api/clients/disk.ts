/** Whoever keeps machines on a host's own disk: gives one back with its files, takes it in again, and puts files into it. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Caller } from "./caller.ts";
import { like, stateOf, type Session } from "./session.ts";

export function playDisk(session: () => Session): void {
  it("unregisters a machine with its files kept, registers them as a new one, and uploads into it", async () => {
    const { architecture, hostId, machineFolder } = session();
    const call = await session().loggedIn();
    const catalog_manifest = { catalog_id: "sonoma-mini", version: "1.0", specs: { cpu: "1", memory: "256" } };
    const made = await call("POST", "/api/v1/machines", { body: { name: "kept", architecture, start_on_create: true, catalog_manifest } });
    const first = `/api/v1/machines/${made.body.id}`;
    expect((await call("POST", `${first}/unregister`)).body.message).toContain("stop it");
    await call("PUT", `${first}/stop?force=true`);
    like("machines/61-unregister", await call("POST", `${first}/unregister`));
    like("machines/66-unregister-not-found", await call("POST", `${first}/unregister`, { body: { id: made.body.id } }));
    const path = join(machineFolder, "kept.pvm");
    const files = await readdir(path);
    expect(files).toContain("config.pvs");
    expect(files).not.toContain("drover.json");

    const fleet = `/api/v1/orchestrator/hosts/${hostId}/machines`;
    like("machines/65-register-bad-path", await call("POST", `${fleet}/register`, { body: { path: `${path}x.pvm` } }));
    expect((await call("POST", "/api/v1/machines/register", { body: { path: "/etc/x.pvm" } })).status).toBe(403);
    const again = like(
      "machines/63-register",
      await call("POST", "/api/v1/machines/register", { body: { path, machine_name: "kept again" } }),
    );
    expect(again.body).toMatchObject({ Name: "kept again", State: "stopped", Home: `${path}/` });
    expect(again.body.ID).not.toBe(made.body.id);
    expect((await call("POST", `${fleet}/register`, { body: { path, machine_name: "third" } })).status).toBe(400);

    const second = `/api/v1/machines/${again.body.ID}`;
    like("machines/59-upload-missing", await call("POST", `${second}/upload`, { body: { path: "/tmp/x" } }));
    await call("PUT", `${second}/start`);
    await stateOf(call, second, "running");
    const sent = join(machineFolder, "sent.txt");
    await writeFile(sent, "from the host");
    expect(await uploaded(call, second, { path: sent, remote_path: "in/sent.txt" })).toEqual({ path: "in/sent.txt" });
    expect((await call("PUT", `${second}/execute`, { body: { command: "cat in/sent.txt" } })).body).toMatchObject({
      stdout: "from the host",
    });
    expect((await call("POST", `${second}/upload`, { body: { path: "/etc/hostname", remote_path: "x" } })).status).toBe(403);
    await call("PUT", `${second}/stop?force=true`);
    await session().stack.json("machine", "delete", "kept again", "--keep-files");
    expect((await call("GET", second)).status).toBe(404);
    expect(await readdir(machineFolder)).toContain("kept.pvm");
  }, 180_000);
}

/** A guest takes sessions some moments after it has its address. */
async function uploaded(call: Caller, machine: string, body: object): Promise<unknown> {
  for (;;) {
    const answer = await call("POST", `${machine}/upload`, { body });
    if (answer.status !== 503) return answer.body;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
