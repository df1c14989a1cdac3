/**
 * What canaries are planted in: a whole stack, everything that it answers, and what it prints.
 *
 * The one idea: every answer is kept and searched, but for those whose purpose is to tell a secret once.
 */
import { spawn } from "node:child_process";
import { request as httpsRequest } from "node:https";
import { isAbsolute } from "node:path";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { openContext } from "../../cli/context.ts";
import type { Parts } from "../../cli/parts.ts";
import { runCommand } from "../../cli/program.ts";
import type { TestStack } from "../e2e/stack.ts";
import type { Canaries } from "./canaries.ts";

export interface Asked {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, a text as it is. */
  readonly body?: unknown;
  /** The answer tells a secret once: it is not searched. */
  readonly tells?: true;
}
export interface Answer {
  readonly status: number;
  // An answer is whatever the caller says it is.
  readonly body: ReturnType<typeof JSON.parse>;
}
export interface Ground {
  readonly stack: TestStack;
  readonly canaries: Canaries;
  readonly plant: (name: string) => string;
  /** Everything that was answered or printed, with what it answers. */
  readonly said: { where: string; text: string }[];
  ask(method: string, path: string, asked?: Asked): Promise<Answer>;
  /** The same at the gateway, whose certificate is not what this is about. */
  askGateway(method: string, path: string, asked?: Asked): Promise<number>;
  /** Opens a WebSocket; answers what came, or how it was refused, within a second. */
  upgrade(path: string): Promise<string>;
  /** Runs `drover` in this process, which costs less, and keeps what it prints. */
  drover(words: readonly string[], env?: Record<string, string>, input?: string): Promise<void>;
  /** Runs a program of ours and keeps what it prints. */
  run(program: string, words: readonly string[], more?: { env?: Record<string, string>; input?: string; tells?: true }): Promise<number>;
}

export function openGround(stack: TestStack, canaries: Canaries): Ground {
  const said: Ground["said"] = [];
  const api = String(stack.client.session.url);
  const ownConfig = { DROVER_CONFIG_DIR: `${stack.home}/canary-config` };
  const gateway = `https://127.0.0.1:${stack.env["GATEWAY_PORT"]}`;
  return {
    stack,
    canaries,
    said,
    plant: (name) => canaries.plant(name),
    ask: async (method, path, asked = {}) => {
      const response = await fetch(`${api}${path}`, { method, ...sent(asked) });
      const text = await response.text();
      const head = [...response.headers].map((pair) => pair.join(": ")).join("\n");
      if (!asked.tells) said.push({ where: `answer to ${method} ${path.split("?")[0]}`, text: `${head}\n${text}` });
      return { status: response.status, body: parsed(text) };
    },
    askGateway: (method, path, asked = {}) => atGateway(`${gateway}${path}`, method, asked, said),
    upgrade: (path) => upgraded(`${api.replace("http", "ws")}${path}`, said),
    drover: async (words, env = {}, input = "") => {
      const printed = await runHere([...words, "--json"], { ...stack.env, ...ownConfig, ...env }, input);
      said.push({ where: `drover ${words.join(" ")}`, text: printed });
    },
    run: (program, words, { env = {}, input = "", tells } = {}) => {
      const all = { ...stack.env, ...ownConfig, ...env };
      return ran({ program, words, env: all, input }, tells ? [] : said);
    },
  };
}

function sent({ token, headers = {}, body }: Asked): { headers: Record<string, string>; body?: string } {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const all = {
    ...(text === undefined ? {} : { "Content-Type": "application/json" }),
    ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    ...headers,
  };
  return { headers: all, ...(typeof text === "string" ? { body: text } : {}) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function atGateway(url: string, method: string, asked: Asked, said: Ground["said"]): Promise<number> {
  const { headers, body } = sent(asked);
  return new Promise((resolve, reject) => {
    const request = httpsRequest(url, { method, headers, rejectUnauthorized: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => {
        said.push({ where: `gateway's answer to ${method} ${new URL(url).pathname}`, text });
        resolve(response.statusCode ?? 0);
      });
    });
    request.once("error", reject).end(body);
  });
}

function upgraded(url: string, said: Ground["said"]): Promise<string> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    let text = "";
    const end = () => {
      socket.terminate();
      said.push({ where: "WebSocket", text });
      resolve(text);
    };
    socket.on("message", (data: Buffer) => (text += data.toString()));
    socket.on("unexpected-response", (_request, response) => {
      text = `refused ${response.statusCode ?? 0}`;
      end();
    });
    socket.on("error", (error) => (text += error.message));
    setTimeout(end, 1_000);
  });
}

async function runHere(words: readonly string[], env: Readonly<Record<string, string | undefined>>, input: string): Promise<string> {
  let text = "";
  const stream = new Writable({ write: (part: Buffer, _encoding, done) => ((text += part.toString()), done()) });
  const parts = new Proxy({} as Parts, { get: () => () => Promise.reject(new Error("This command needs a process of its own.")) });
  const streams = { out: stream, err: stream, in: Readable.from(input === "" ? [] : [input]) };
  await runCommand(openContext({ env, folder: process.cwd(), streams, parts, onSignal: () => () => {} }), words);
  return text;
}

interface Run {
  readonly program: string;
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly input: string;
}

function ran({ program, words, env, input }: Run, said: Ground["said"]): Promise<number> {
  const path = isAbsolute(program) ? program : fileURLToPath(new URL(`../../${program}`, import.meta.url));
  const child = spawn(process.execPath, [path, ...words], { env, stdio: ["pipe", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (part: string) => (text += part));
  child.stdin.on("error", () => {}); // It may end without having read.
  child.stdin.end(input);
  return new Promise((resolve) =>
    child.once("close", (code) => {
      said.push({ where: `${program} ${words.join(" ")}`, text });
      resolve(code ?? 1);
    }),
  );
}
