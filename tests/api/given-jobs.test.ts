/** Jobs by the id that an orchestrator gave them: it follows them under that id, and nobody comes by somebody else's so. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveApi, type Served } from "../../api/serve.ts";
import { addHost, addImage, addStore } from "../control/hub.ts";
import { listenTo } from "./listening.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let served: Served;
let root: string;
let other: string;
beforeAll(async () => {
  world = await openWorld();
  served = await serveApi((request, connection) => world.app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
  root = await world.login("root", rootPassword);
  const body = { username: "other", name: "O", email: "other@example.com", password: "Correct-horse-8!" };
  await world.call("POST", "/api/v1/auth/users", { token: root, body });
  await world.call("POST", "/api/v1/auth/users/other/roles", { token: root, body: { name: "SUPER_USER" } });
  other = await world.login("other", "Correct-horse-8!");
  await addHost(world);
  await addImage(world, await addStore(world), "sonoma-mini");
});
afterAll(async () => {
  await served.close(1000);
  await world.close();
});

const newId = () => randomBytes(32).toString("hex");
const path = "/api/v1/machines/async";
const wanted = (name: string) => ({ name, architecture: "arm64", catalog_manifest: { catalog_id: "sonoma-mini" } });
const make = (name: string, id: string, token = root) =>
  world.call("POST", path, { token, body: wanted(name), headers: { "X-ORCHESTRATOR-JOB-ID": id } });
const job = (id: string, token = root) => world.call("GET", `/api/v1/jobs/${id}`, { token });
const isJob = (body: unknown) => (typeof body === "object" && body !== null && "id" in body ? body.id : undefined);

describe("a job that an orchestrator gave its own id", () => {
  it("is answered, found, listed, told of and removed by that id", async () => {
    const id = newId();
    const [heard, seenByOther] = await Promise.all(
      [root, other].map((token) => listenTo(served.port, `event_types=job_manager&access_token=${token}`)),
    );
    expect(await make("followed", id.toUpperCase())).toMatchObject({ status: 202, body: { id, job_operation: "create" } });
    expect((await job(id)).body).toMatchObject({ id, state: "running" });
    expect((await world.call("GET", "/api/v1/jobs", { token: root })).body.map(isJob)).toContain(id);

    await world.settle("provision");
    await world.relay();
    const told = await heard?.until(({ message, body }) => message === "JOB_COMPLETED" && isJob(body) === id);
    expect(told?.body).toMatchObject({ id, state: "completed" });
    const toOther = await seenByOther?.until(({ message }) => message === "JOB_COMPLETED");
    expect(toOther?.body).toMatchObject({ owner: told?.body.owner });
    expect(JSON.stringify(seenByOther?.frames)).not.toContain(id);

    expect((await world.call("DELETE", `/api/v1/jobs/${id}`, { token: root })).status).toBe(204);
    await world.relay();
    expect((await heard?.until(({ message }) => message === "JOB_DELETED"))?.body).toMatchObject({ id, job_operation: "create" });
    expect((await job(id)).status).toBe(404);
    heard?.socket.close();
    seenByOther?.socket.close();
  });

  it("is the same job when it is asked for again, and no other one", async () => {
    const id = newId();
    const [first, second] = await Promise.all([make("once", id), make("once", id)]);
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(await world.sql`select id from operations where given_job_id = ${id}`).toHaveLength(1);
    const another = await make("twice", id);
    expect(another).toMatchObject({ status: 409, body: { message: expect.stringContaining("X-ORCHESTRATOR-JOB-ID"), code: 409 } });
    await world.settle("provision");
  });

  it("stays its giver's, whoever else gives the same id, and is nobody else's to find by it", async () => {
    const id = newId();
    await make("mine", id);
    expect((await job(id, other)).status).toBe(404);
    expect((await world.call("DELETE", `/api/v1/jobs/${id}`, { token: other })).status).toBe(404);
    expect((await make("theirs", id, other)).body).toMatchObject({ id, owner_email: "other@example.com" });
    expect((await job(id)).body).toMatchObject({ id, owner_email: "root@localhost" });
    const shown = (await world.call("GET", "/api/v1/jobs", { token: other })).body.filter((one: unknown) => isJob(one) === id);
    expect(shown).toMatchObject([{ owner_email: "other@example.com" }]);
    await world.settle("provision");
  });

  it("cannot take the place of a job that has the id already", async () => {
    const known = (await world.call("POST", path, { token: root, body: wanted("known") })).body.id;
    expect((await make("usurper", known, other)).status).toBe(202);
    expect((await job(known)).body).toMatchObject({ id: known, owner_email: "root@localhost" });
    await world.settle("provision");
  });

  it.each(["nope", "z".repeat(64), createHash("sha256").update("x").digest("base64url"), "a".repeat(65)])(
    "begins nothing where the id is none: %s",
    async (id) => {
      const refused = await make("malformed", id);
      expect(refused).toMatchObject({ status: 400, body: { message: expect.stringContaining("64 hexadecimal digits") } });
      expect(await world.sql`select id from machines where name = 'malformed'`).toEqual([]);
    },
  );
});
