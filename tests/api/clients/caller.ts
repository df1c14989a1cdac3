/**
 * Requests byte for byte as a client sends them: paths are not tidied, bodies go with any method, and a first request may ask for HTTP/2 as the JDK's
 * client does.
 *
 * The one idea: Node's plain HTTP client changes nothing, so what these tests send is what the real clients send.
 */
import { Agent, request } from "node:http";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  // An answer is whatever the test says it is; its shape is what the test is about.
  readonly body: ReturnType<typeof JSON.parse>;
}
export interface Sent {
  readonly body?: unknown;
  /** As it is, JSON or not. */
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
export type Caller = (method: string, path: string, sent?: Sent) => Promise<Answer>;

/** What the JDK's client asks for on its first request of a plain connection. */
export const askingForHttp2 = {
  Connection: "Upgrade, HTTP2-Settings",
  Upgrade: "h2c",
  "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
} as const;

/** `headers` are sent with every request; one connection is kept, as clients do. */
export function callerTo(url: string, headers: Readonly<Record<string, string>> = {}): Caller & { close(): void } {
  const { hostname, port } = new URL(url);
  const agent = new Agent({ keepAlive: true });
  const call: Caller = (method, path, sent = {}) =>
    new Promise((resolve, reject) => {
      const text = sent.raw ?? (sent.body === undefined ? undefined : JSON.stringify(sent.body));
      const described = text === undefined ? {} : { "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(text)) };
      const asking = request(
        { hostname, port, method, path, agent, headers: { ...described, ...headers, ...sent.headers } },
        (response) => {
          const parts: Buffer[] = [];
          response
            .on("data", (part: Buffer) => parts.push(part))
            .on("error", reject)
            .on("end", () => resolve(answerOf(response.statusCode ?? 0, response.headers, Buffer.concat(parts).toString())));
        },
      );
      asking.on("error", reject).end(text);
    });
  return Object.assign(call, { close: () => agent.destroy() });
}

const answerOf = (status: number, headers: Answer["headers"], text: string): Answer => ({
  status,
  headers,
  text,
  body: text !== "" && /json/.test(String(headers["content-type"])) ? JSON.parse(text) : text,
});
