/**
 * One embedded stack with a golden bundle on a host, and the ways in which clients log in to it.
 *
 * The one idea: what a client does before it asks (log in each time, once, or send a key) is part of how it behaves, so it is played too.
 */
import { join } from "node:path";
import { expect } from "vitest";
import { makeSampleBundle } from "../../../parallels/sample/make.ts";
import { openStack, type TestStack } from "../../e2e/stack.ts";
import { callerTo, type Answer, type Caller } from "./caller.ts";
import { differences } from "./shapes.ts";

const mebibyte = 1024 ** 2;
export const rootPassword = "Correct-horse-9!";

/** `between`: a door before the API, which each request goes through by a connection of its own. */
export async function openSession(between?: (stack: TestStack) => Promise<{ readonly port: number; close(): Promise<void> }>) {
  const stack = await openStack({ ROOT_PASSWORD: rootPassword, DROVER_DEFAULT_HOST: "mac-1", URL_WHITELIST: "127.0.0.1" });
  const front = await between?.(stack);
  const address = `127.0.0.1:${front?.port ?? stack.env["API_PORT"]}`;
  const plain = callerTo(`http://${address}`, front ? { Connection: "close" } : {});
  const host = await stack.json<{ id: string; facts: { machineFolder: string; architecture: string } }>("host", "show", "mac-1");
  const { architecture, machineFolder } = host.facts;
  const { bundlePath } = await makeSampleBundle({
    folder: join(machineFolder, "golden"),
    name: "Sonoma Mini",
    bytes: 32 * mebibyte,
    contentBytes: 8 * mebibyte,
    path: process.env["PATH"] ?? "",
    content: "pattern",
  });
  const logIn = async (call: Caller = plain, body: object = { username: "root", password: rootPassword }): Promise<string> => {
    const answer = await call("POST", "/api/v1/auth/token", { body });
    if (answer.status !== 200) throw new Error(`The login failed: ${answer.text}`);
    return answer.body.token;
  };
  const loggedIn = async (more: Record<string, string> = {}): Promise<Caller> => {
    const headers = { Authorization: `Bearer ${await logIn()}`, ...more };
    return (method, path, sent = {}) => plain(method, path, { ...sent, headers: { ...headers, ...sent.headers } });
  };
  const close = async () => {
    plain.close();
    await front?.close();
    await stack.close();
  };
  const connections = [`host=root:${rootPassword}@http://${address}`, `host=http://root:${rootPassword}@${address}`] as const;
  return { stack, address, plain, hostId: host.id, machineFolder, architecture, bundlePath, connections, logIn, loggedIn, close };
}
export type Session = Awaited<ReturnType<typeof openSession>>;

/** The answer has the status, the keys and the types of the recorded one; the test goes on, so that one run tells all differences. */
export function like(name: string, answer: Answer, ...also: string[]): Answer {
  expect.soft(differences(name, answer, also), `${name}: ${answer.text.slice(0, 400)}`).toEqual([]);
  return answer;
}

/** Asks for the job until it has ended, as clients do. */
export async function jobDone(call: Caller, id: string): Promise<Answer["body"]> {
  for (;;) {
    const { body } = await call("GET", `/api/v1/jobs/${id}`);
    if (body.state === "completed") return body;
    if (body.state === "failed") throw new Error(`The job failed: ${body.error}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Asks for the state until it is the wanted one, with an address where one is wanted. */
export async function stateOf(call: Caller, path: string, wanted: string): Promise<Answer["body"]> {
  for (;;) {
    const { body } = await call("GET", `${path}/status`);
    // The Jenkins plugin gives up on any other word.
    expect(["running", "error", "stopped", "pending", "starting", "suspended", "paused", "stopping"]).toContain(body.status);
    if (body.status === wanted && (wanted !== "running" || body.ip_configured !== "-")) return body;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
