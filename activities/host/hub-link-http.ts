/**
 * HTTPS to the host gateway, with the hub's own authority as the only one that is trusted.
 *
 * The one idea: Node's own client on one agent, so connections are kept and the pin cannot be forgotten by a caller.
 */
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { FaultError, isCode } from "../../domain/errors.ts";

export interface HubRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  /** Of the hub's address; a path of its own, never another host. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  /** How long the hub may be silent; as long as it may wait for a store where it is left out. */
  readonly silentMs?: number;
}

export interface HubHttp {
  send(ask: HubRequest): Promise<IncomingMessage>;
  close(): void;
}

/** Longer than the gateway waits for room in memory or for a slow store; a gateway that is gone is told by the connection. */
const storeMs = 120_000;
/** Eight packs in flight, some reads, reports and grants. */
const connections = 32;

/** `onAnswer` sees the head of every answer before anybody else does. */
export function hubHttp(hubUrl: string, authority: string, onAnswer: (answer: IncomingMessage) => void = () => {}): HubHttp {
  const agent = new Agent({ ca: authority, keepAlive: true, maxSockets: connections, minVersion: "TLSv1.3", timeout: storeMs });
  const base = new URL(hubUrl);
  const send = ({ method, path, headers = {}, body, signal, silentMs = storeMs }: HubRequest) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const sized = body === undefined ? {} : { "content-length": String(body.byteLength) };
      const url = new URL(path, base);
      if (url.origin !== base.origin)
        return reject(new FaultError({ code: "grant_refused", message: "The hub granted an address that is not its own." }));
      const sent = httpsRequest(url, { agent, method, headers: { ...sized, ...headers }, ...(signal ? { signal } : {}) }, (answer) => {
        onAnswer(answer);
        resolve(answer);
      });
      sent.setTimeout(silentMs);
      sent.on("timeout", () => sent.destroy(new Error("The hub has been silent for too long.")));
      sent.on("error", (cause) => reject(signal?.aborted === true ? cause : unreachable(hubUrl, cause)));
      sent.end(body);
    });
  return { send, close: () => agent.destroy() };
}

/** A clock that is off by more than a certificate allows keeps this computer from the hub before anything else can be said. */
const untimely: readonly string[] = ["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"];

export const unreachable = (hubUrl: string, cause: unknown) => {
  const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "";
  if (untimely.includes(code)) {
    const message = `The certificate of the hub at ${hubUrl} does not hold at ${new Date().toISOString()}, which is the time on this computer.`;
    return new FaultError({ code: "clock_wrong", message }, { cause });
  }
  const reason = code === "" ? "" : ` (${code})`;
  return new FaultError({ code: "hub_unavailable", message: `The hub at ${hubUrl} cannot be reached${reason}.` }, { cause });
};

/** The JSON of an answer; a refusal becomes the fault that the hub told. */
export async function jsonOf(answer: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  const text = Buffer.concat(parts).toString();
  const value = parsed(text);
  if (answer.statusCode !== undefined && answer.statusCode < 300) return value;
  throw faultOf(answer.statusCode ?? 0, value);
}

function faultOf(status: number, value: unknown): FaultError {
  const told = typeof value === "object" && value !== null ? value : {};
  const code = "code" in told && isCode(told.code) ? told.code : status >= 500 ? "hub_unavailable" : "invalid_request";
  const message = "message" in told && typeof told.message === "string" ? told.message : `The hub answered ${status}.`;
  return new FaultError({ code, message });
}

function parsed(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
