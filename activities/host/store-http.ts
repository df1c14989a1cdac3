/**
 * Requests to a store's own address, as a grant names it.
 *
 * The one idea: what counts is silence, not duration. A slow line may take its time over a pack; a store that says and takes nothing for a while is away, and
 * whoever waits for it must hear so.
 */
import { Agent as PlainAgent, request as plainRequest, type IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { storeUnavailable } from "../../stores/faults.ts";

export interface StoreRequest {
  readonly key: string;
  readonly method: "GET" | "PUT";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
  readonly signal: AbortSignal;
}

export interface StoreHttp {
  send(ask: StoreRequest): Promise<IncomingMessage>;
  close(): void;
}

/** Eight reads or packs of each of two transfers. */
const connections = 32;

export function storeHttp(silentMs: number): StoreHttp {
  const options = { keepAlive: true, maxSockets: connections };
  const agents = { plain: new PlainAgent(options), tls: new Agent(options) };
  const begin = ({ url, method, headers, signal }: StoreRequest) =>
    url.startsWith("https:")
      ? request(url, { method, headers, signal, agent: agents.tls })
      : plainRequest(url, { method, headers, signal, agent: agents.plain });

  const send = (ask: StoreRequest) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const sent = begin(ask);
      let silent = false;
      // Of the connection, so that it also ends an answer that stops in its middle.
      sent.setTimeout(silentMs, () => {
        silent = true;
        sent.destroy();
      });
      sent.once("response", resolve);
      sent.on("error", (cause) => {
        const reason = silent ? `it has been silent for ${silentMs / 1000} s` : reasonOf(cause);
        reject(ask.signal.aborted ? cause : storeUnavailable(ask.key, reason, cause));
      });
      sent.end(ask.body);
    });
  return { send, close: () => Object.values(agents).forEach((agent) => agent.destroy()) };
}

/** Node's own word for what went wrong, which carries no part of the address: that is the grant. */
function reasonOf(cause: Error): string {
  return "code" in cause && typeof cause.code === "string" ? `it cannot be reached (${cause.code})` : "it cannot be reached";
}
