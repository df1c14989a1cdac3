/**
 * The stock Temporal web UI in a real browser, whose payloads the codec decodes for whoever is logged in, and for nobody else.
 *
 * The one idea: the browser's own rules (origins, cookies, preflights) are half of the protection, so a browser must say that they hold.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, Connection } from "@temporalio/client";
import { WebSocket } from "ws";
import { afterAll, beforeAll, expect, it } from "vitest";
import { serveApi, type Served } from "../../api/serve.ts";
import { startTemporal, type RunningTemporal } from "../../deploy/embedded/temporal.ts";
import { freePorts } from "../../deploy/ports.ts";
import { openWorld, rootPassword, type World } from "../api/world.ts";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const found = await Promise.all(
  places.map((place) =>
    access(place).then(
      () => place,
      () => null,
    ),
  ),
);
const browserPath = found.find((place) => place !== null) ?? null;
const secret = "readable-by-the-codec-alone";

let folder: string;
let world: World;
let served: Served;
let temporal: RunningTemporal;
let connection: Connection;
let browser: ChildProcess;
let tab: Tab;
let workflowUrl: string;

beforeAll(async () => {
  if (browserPath === null) return;
  folder = await mkdtemp(join(tmpdir(), "drover-ui-"));
  const [grpc = 0, ui = 0, api = 0] = await freePorts(3);
  world = await openWorld({ codec: { path: null, origin: `http://127.0.0.1:${ui}` } });
  served = await serveApi((request, peer) => world.app.fetch(request, peer), { host: "127.0.0.1", port: api });
  temporal = await startTemporal({ home: folder, ports: { grpc, ui } });
  connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection, namespace: temporal.namespace, dataConverter: { payloadCodecs: [world.codec] } });
  const { firstExecutionRunId } = await client.workflow.start("push", {
    taskQueue: "nobody",
    workflowId: "push/readable/1",
    args: [{ secret }],
  });
  workflowUrl = `${temporal.uiUrl}/namespaces/${temporal.namespace}/workflows/${encodeURIComponent("push/readable/1")}/${firstExecutionRunId}/history`;
  const options = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--remote-debugging-port=0",
    `--user-data-dir=${join(folder, "profile")}`,
  ];
  browser = spawn(browserPath, options, { stdio: "ignore" });
  tab = await openTab(join(folder, "profile"));
}, 120_000);
afterAll(async () => {
  if (browserPath === null) return;
  tab?.close();
  const gone = new Promise((resolve) => browser.once("exit", resolve));
  browser.kill("SIGKILL");
  await gone;
  await connection.close();
  await temporal.stop();
  await served.close(0);
  await world.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}, 60_000);

it.skipIf(browserPath === null)(
  "shows what a workflow was given to a super user who logged in, and to nobody before",
  async () => {
    const codec = `http://127.0.0.1:${served.port}/codec/session`;
    await tab.go(temporal.uiUrl);
    const settings = { endpoint: codec, includeCredentials: true, overrideRemoteCodecConfiguration: true };
    for (const [key, value] of Object.entries(settings))
      await tab.run(`localStorage.setItem(${JSON.stringify(key)}, ${JSON.stringify(JSON.stringify(value))})`);
    await tab.go(workflowUrl);
    await tab.until(`document.body.innerText.includes("push/readable/1")`);
    await tab.until(`document.body.innerText.includes("Codec Server could not connect")`);
    expect(await tab.run("document.body.innerText")).not.toContain(secret);

    await tab.go(codec);
    const [name, password] = [JSON.stringify("root"), JSON.stringify(rootPassword)];
    await tab.run(
      `{ const form = document.forms[0]; form.username.value = ${name}; form.password.value = ${password}; form.querySelector("button").click(); }`,
    );
    await tab.until(`document.body.innerText.includes("is logged in")`);
    await tab.go(workflowUrl);
    await tab.until(`document.body.innerText.includes(${JSON.stringify(secret)})`);
  },
  120_000,
);

interface Tab {
  go(url: string): Promise<void>;
  /** Answers what the expression is worth in the page. */
  run(expression: string): Promise<unknown>;
  until(expression: string): Promise<void>;
  close(): void;
}

/** One tab by the browser's own debugging protocol. */
async function openTab(profile: string): Promise<Tab> {
  const file = await eventually(() => readFile(join(profile, "DevToolsActivePort"), "utf8").catch(() => null));
  const port = file.split("\n")[0] ?? "";
  const pages = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as { type: string; webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(pages.find(({ type }) => type === "page")?.webSocketDebuggerUrl ?? "");
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const waiting = new Map<number, (result: Answer) => void>();
  socket.on("message", (data) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result: Answer };
    if (id !== undefined) waiting.get(id)?.(result);
  });
  let last = 0;
  const send = (method: string, params: object): Promise<Answer> =>
    new Promise((resolve) => {
      last += 1;
      waiting.set(last, resolve);
      socket.send(JSON.stringify({ id: last, method, params }));
    });
  const run = async (expression: string) => (await send("Runtime.evaluate", { expression, returnByValue: true })).result?.value;
  const until = async (expression: string) => {
    await eventually(async () => ((await run(expression)) === true ? true : null)).catch(async (cause: unknown) => {
      throw new Error(`${expression} is not so in ${String(await run("location.href"))}: ${String(await run("document.body.innerText"))}`, {
        cause,
      });
    });
  };
  const go = async (url: string) => {
    await send("Page.navigate", { url });
    await until(`document.readyState === "complete" && location.href.startsWith(${JSON.stringify(url.slice(0, 30))})`);
  };
  return { go, run, until, close: () => socket.close() };
}
interface Answer {
  readonly result?: { readonly value?: unknown };
}

async function eventually<T>(look: () => Promise<T | null>): Promise<T> {
  const limit = Date.now() + 60_000;
  for (;;) {
    const seen = await look();
    if (seen !== null) return seen;
    if (Date.now() > limit) throw new Error("waited a minute in vain");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
