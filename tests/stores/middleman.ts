/** Stands between an S3 client and its server: counts connections, answers for the server where told to, and sees how requests end. */
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Middleman {
  readonly endpoint: string;
  /** Requests to come that are answered "503 SlowDown" and go no further. */
  slowDowns: number;
  /** As many requests as came, and connections they came by. */
  readonly seen: { requests: number; connections: number };
  /** Connections that are open now. */
  open(): Promise<number>;
  stop(): Promise<void>;
}

const slowDown =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';

export async function startMiddleman(target: string): Promise<Middleman> {
  const { hostname, port } = new URL(target);
  const seen = { requests: 0, connections: 0 };
  const forward = (asked: IncomingMessage, answer: ServerResponse) => {
    const { method, url: path, headers } = asked;
    const onward = request({ hostname, port, method, path, headers }, (given) => {
      answer.writeHead(given.statusCode ?? 502, given.headers);
      given.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    asked.pipe(onward);
  };
  const server = createServer((asked, answer) => {
    seen.requests++;
    if (middleman.slowDowns === 0) return forward(asked, answer);
    middleman.slowDowns--;
    asked.resume().on("end", () => answer.writeHead(503, { "content-type": "application/xml" }).end(slowDown));
  });
  server.on("connection", () => seen.connections++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const middleman: Middleman = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    slowDowns: 0,
    seen,
    open: () => new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count)))),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return middleman;
}
