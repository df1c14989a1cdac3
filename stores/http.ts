/**
 * Requests to a store's own address.
 *
 * The one idea: what counts is silence, not duration. A slow line may take its time over a pack; a store that says and takes nothing for a while is away, and
 * whoever waits for it must hear so.
 */
import { Agent as PlainAgent, request as plainRequest, type IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { pipeline } from "node:stream/promises";
import { withKnown } from "./authority.ts";
import { storeUnavailable } from "./faults.ts";
import { throughProxies } from "./proxies.ts";

export interface StoreRequest {
  /** What a fault names; the address may be a secret. */
  readonly key: string;
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What comes in parts is sent as it comes, without its length. */
  readonly body?: Uint8Array | string | AsyncIterable<Uint8Array> | undefined;
  /** Certificates (PEM) that the server is known by, besides the well-known ones. */
  readonly ca?: string | undefined;
  readonly signal: AbortSignal;
}

export interface StoreHttp {
  send(ask: StoreRequest): Promise<IncomingMessage>;
  close(): void;
}

/** Eight reads or packs of each of two transfers. */
const connections = 32;

export function storeHttp(silentMs: number): StoreHttp {
  const options = { keepAlive: true, maxSockets: connections, ...throughProxies() };
  const plain = new PlainAgent(options);
  const tls = new Map<string, Agent>();
  const begin = ({ url, method, headers, signal, ca = "" }: StoreRequest) => {
    if (!url.startsWith("https:")) return plainRequest(url, { method, headers, signal, agent: plain });
    const agent = tls.get(ca) ?? new Agent({ ...options, ...(ca === "" ? {} : { ca: withKnown(ca) }) });
    tls.set(ca, agent);
    return request(url, { method, headers, signal, agent });
  };

  const send = (ask: StoreRequest) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const sent = begin(ask);
      let silent = false;
      const source: Source = { failure: null };
      // Of the connection, so that it also ends an answer that stops in its middle.
      sent.setTimeout(silentMs, () => {
        silent = true;
        sent.destroy();
      });
      sent.once("response", resolve);
      sent.on("error", (cause) => {
        if (source.failure !== null) return reject(source.failure);
        const reason = silent ? `it has been silent for ${silentMs / 1000} s` : `it cannot be reached${wordOf(cause)}`;
        reject(ask.signal.aborted ? cause : storeUnavailable(ask.key, reason, cause));
      });
      if (isInParts(ask.body)) pipeline(watched(ask.body, source), sent).catch((error: unknown) => sent.destroy(asError(error)));
      else sent.end(ask.body);
    });
  return { send, close: () => [plain, ...tls.values()].forEach((agent) => agent.destroy()) };
}

const isInParts = (body: StoreRequest["body"]): body is AsyncIterable<Uint8Array> =>
  typeof body === "object" && Symbol.asyncIterator in body;
/** What the source of a body threw: a broken request alone would look as if the store were away. */
interface Source {
  failure: Error | null;
}

async function* watched(parts: AsyncIterable<Uint8Array>, source: Source): AsyncGenerator<Uint8Array> {
  try {
    yield* parts;
  } catch (error) {
    source.failure = asError(error);
    throw error;
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/** Node's own word for what went wrong, which carries no part of the address: that may be a grant. */
function wordOf(cause: Error): string {
  return "code" in cause && typeof cause.code === "string" ? ` (${cause.code})` : "";
}
