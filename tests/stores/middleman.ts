/**
 * Stands between an S3 client and its server: counts connections, answers for the server where told to, and sees how requests end.
 *
 * The one idea: a store's bad days are caused on the way to it, so the server itself stays right, and is back when the way is.
 */
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Transform } from "node:stream";
import { setTimeout as after } from "node:timers/promises";

export interface Middleman {
  readonly endpoint: string;
  /** Requests to come that are answered "503 SlowDown" and go no further. */
  slowDowns: number;
  /** Most that one answer carries; null for as much as comes. */
  bytesPerSecond: number | null;
  /** As many requests as came, and connections they came by. */
  readonly seen: { requests: number; connections: number };
  /** Breaks every connection, and those that are made, until it is mended. */
  cut(): void;
  /** Takes every request, or every one whose path looks so, and answers none, nor ends what it answers, until it is mended. */
  stall(path?: RegExp): void;
  mend(): void;
  /** Connections that are open now. */
  open(): Promise<number>;
  stop(): Promise<void>;
}

const slowDown =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';

export async function startMiddleman(target: string): Promise<Middleman> {
  const { hostname, port } = new URL(target);
  const seen = { requests: 0, connections: 0 };
  let way: "open" | "cut" | "stalled" = "open";
  let stalls: RegExp | null = null;
  const forward = (asked: IncomingMessage, answer: ServerResponse) => {
    const { method, url: path, headers } = asked;
    const onward = request({ hostname, port, method, path, headers }, (given) => {
      answer.writeHead(given.statusCode ?? 502, given.headers);
      given.pipe(passage()).pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    asked.pipe(onward);
  };
  /** What is on its way stops when the way is stalled, and never goes on: whoever waits must ask again. */
  const passage = () =>
    new Transform({
      transform: async (part: Buffer, _encoding, done) => {
        if (middleman.bytesPerSecond !== null) await after((part.byteLength * 1000) / middleman.bytesPerSecond);
        if (way !== "stalled" || stalls) done(null, part);
      },
    });
  const server = createServer((asked, answer) => {
    seen.requests++;
    if (way === "stalled" && (!stalls || stalls.test(asked.url ?? ""))) return;
    if (middleman.slowDowns === 0) return forward(asked, answer);
    middleman.slowDowns--;
    asked.resume().on("end", () => answer.writeHead(503, { "content-type": "application/xml" }).end(slowDown));
  });
  server.on("connection", (socket) => {
    seen.connections++;
    if (way === "cut") socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const middleman: Middleman = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    slowDowns: 0,
    bytesPerSecond: null,
    seen,
    cut: () => {
      way = "cut";
      server.closeAllConnections();
    },
    stall: (path) => {
      way = "stalled";
      stalls = path ?? null;
    },
    mend: () => void (way = "open"),
    open: () => new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count)))),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return middleman;
}
