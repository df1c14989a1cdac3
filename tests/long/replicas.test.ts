/**
 * Two API processes behind one address serve every client as one does, request by request from the one or the other.
 *
 * The one idea: each request comes by a connection of its own and goes to the next process, so what a process keeps to itself is missed at once.
 * Suites of tests/api open one process inside the test, which makes no sense behind a balancer: what they hold is asked here by the clients; guesses at
 * passwords, which two processes count together, are the subject of tests/api/logins.test.ts.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { playGitHubAction } from "../api/clients/action.ts";
import { playConsole } from "../api/clients/console.ts";
import { playJenkins } from "../api/clients/jenkins.ts";
import { jobDone, openSession, rootPassword, type Session } from "../api/clients/session.ts";
import { playTerraform } from "../api/clients/terraform.ts";
import { playVsCode } from "../api/clients/vscode.ts";
import { openReplicas, type Replicas } from "../api/replicas.ts";

let session: Session;
let replicas: Replicas;
beforeAll(async () => {
  session = await openSession(async (stack) => (replicas = await openReplicas(stack)));
  await push("sonoma-mini", "1.0", "ci");
  await push("sonoma-mini", "1.1", "next");
}, 180_000);
afterAll(() => session?.close(), 60_000);

async function push(catalog_id: string, version: string, tag: string): Promise<void> {
  const { architecture, bundlePath, connections, loggedIn } = session;
  const call = await loggedIn();
  const needs = { required_roles: [], required_claims: [], minimum_requirements: { cpu: 1, memory: 128, disk: 1 } };
  const what = { local_path: bundlePath, catalog_id, version, architecture, description: "tiny", tags: [tag], ...needs };
  const job = await call("POST", "/api/v1/catalog/push/async", { body: { ...what, connection: connections[1] } });
  await jobDone(call, job.body.id);
}

/** The same request at each process for itself. */
const atEach = async (path: string, headers: Record<string, string>, init: RequestInit = {}) => {
  const answers = await Promise.all(replicas.ports.map((port) => fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers })));
  return Promise.all(
    answers.map(async (answer) => ({ status: answer.status, body: (await answer.json().catch(() => null)) as Record<string, unknown> })),
  );
};

describe("the Terraform provider", () => playTerraform(() => session));
describe("the GitHub Action", () => playGitHubAction(() => session));
describe("the Jenkins plugin", () => playJenkins(() => session));
describe("the VS Code extension", () => playVsCode(() => session));
describe("the web console", () => playConsole(() => session));

describe("both processes", () => {
  it("were asked alike by all that", () => {
    const [first = 0, second = 0] = replicas.handed();
    expect(first).toBeGreaterThan(50);
    expect(Math.abs(first - second)).toBeLessThanOrEqual(2);
  });

  it("know a token, a right and its end from the moment on in which either gave it", async () => {
    const call = await session.loggedIn();
    const name = `two-${randomUUID().slice(0, 8)}`;
    const user = await call("POST", "/api/v1/auth/users", {
      body: { username: name, name, email: `${name}@example.com`, password: "Correct-horse-8!" },
    });
    expect(user.status).toBe(201);
    const token = await session.logIn(undefined, { username: name, password: "Correct-horse-8!" });
    const headers = { Authorization: `Bearer ${token}` };
    for (const right of [true, false, true]) {
      const path = `/api/v1/auth/users/${user.body.id}/claims`;
      const changed = right ? await call("POST", path, { body: { name: "CREATE_VM" } }) : await call("DELETE", `${path}/CREATE_VM`);
      expect(changed.status).toBeLessThan(300);
      expect(
        (await atEach("/api/v2/machines", { ...headers, "Content-Type": "application/json" }, { method: "POST", body: "{}" })).map(
          ({ status }) => status,
        ),
      ).toEqual(right ? [400, 400] : [403, 403]);
    }
    await call("DELETE", `/api/v1/auth/users/${user.body.id}`);
    expect((await atEach("/api/v2/whoami", headers)).map(({ status }) => status)).toEqual([401, 401]);
  });

  it("make one operation of one key, and mark the same rows alike", async () => {
    // The clients have revoked and removed what they found.
    await push("kept-mini", "1.0", "ci");
    const token = await session.logIn();
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": randomUUID() };
    const body = JSON.stringify({ name: `two-${randomUUID().slice(0, 8)}`, image: { catalogId: "kept-mini" }, start: false });
    const made = await atEach("/api/v2/machines", headers, { method: "POST", body });
    expect(made.map(({ status }) => status)).toEqual([202, 202]);
    const ids = made.map((one) => (one.body["operation"] as { id: string }).id);
    expect(new Set(ids).size).toBe(1);
    const waited = await atEach(`/api/v2/operations/${ids[0]}/wait`, { Authorization: `Bearer ${token}` });
    expect(waited.map((one) => one.body["state"])).toEqual(["done", "done"]);
    const [{ id }] = made.map((one) => one.body["machine"] as { id: string }) as [{ id: string }];
    const marks = await Promise.all(
      replicas.ports.map((port) =>
        fetch(`http://127.0.0.1:${port}/api/v2/machines/${id}`, { headers: { Authorization: `Bearer ${token}` } }),
      ),
    );
    const [first, second] = marks.map((one) => one.headers.get("ETag"));
    expect(first).toBe(second);
  });

  it("are missed by nobody when one of them is killed: every request is answered by the other", async () => {
    await replicas.killSecond();
    for (let n = 0; n < 20; n++) {
      const answer = await session.plain("POST", "/api/v1/auth/token", { body: { username: "root", password: rootPassword } });
      expect(answer.status).toBe(200);
    }
  });
});
