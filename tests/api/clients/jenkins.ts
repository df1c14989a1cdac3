/** The Jenkins plugin: the JDK's client asks for HTTP/2 first, follows no redirect, powers by GET, polls for the state and deletes by force. */
import { expect, it } from "vitest";
import { askingForHttp2, callerTo, type Caller } from "./caller.ts";
import { like, stateOf, type Session } from "./session.ts";

export function playJenkins(session: () => Session): void {
  for (const [base, name] of [
    ["/api/v1/machines", "jenkins-host"],
    ["/api/v1/orchestrator/machines", "jenkins-fleet"],
  ] as const)
    it(`makes an agent, clones it, runs its command and deletes both at ${base}`, async () => {
      const jdk = callerTo(`http://${session().address}`, askingForHttp2);
      try {
        await playAgent(session(), jdk, base, name);
      } finally {
        jdk.close();
      }
    }, 180_000);
}

async function playAgent({ architecture, connections, logIn }: Session, jdk: Caller, base: string, name: string): Promise<void> {
  const token = await logIn(jdk);
  const call: Caller = (method, path, sent = {}) =>
    jdk(method, path, { ...sent, headers: { Authorization: `Bearer ${token}`, ...sent.headers } });
  const body = {
    name,
    owner: "root",
    architecture,
    start_on_create: true,
    catalog_manifest: { catalog_id: "sonoma-mini", version: "latest", connection: connections[1], specs: { cpu: "1", memory: "256" } },
  };
  const made = like("create-from-catalog/01-create-sync", await call("POST", base, { body }));
  const path = `${base}/${made.body.id}`;
  await stateOf(call, path, "running");
  expect((await call("GET", `${path}/stop`)).body).toMatchObject({ operation: "Stop", status: "Success" });
  const clone = await call("PUT", `${path}/clone`, { body: { clone_name: `${name}-agent` } });
  expect(clone.body).toEqual({ id: expect.any(String), status: "Success" });
  const agent = `${base}/${clone.body.id}`;
  expect((await call("GET", `${agent}/start`)).body).toMatchObject({ operation: "Start", status: "Success" });
  expect((await stateOf(call, agent, "running")).ip_configured).toMatch(/^\d+(\.\d+){3}$/);
  const ran = await call("PUT", `${agent}/execute`, {
    body: { command: "printf '%s' \"$JENKINS_SECRET\"", environment_variables: { JENKINS_SECRET: "a b" } },
  });
  expect(ran.body).toEqual({ stdout: "a b", exit_code: 0 });
  expect((await call("PUT", `${agent}/stop?force=true`)).body.status).toBe("Success");
  like("machines/70-delete-force-query", await call("DELETE", `${agent}?force=true`));
  expect((await call("DELETE", `${path}?force=true`)).status).toBe(202);
  expect((await call("GET", path)).body.code).toBe(404);
}
