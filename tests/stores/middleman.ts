/**
 * Stands between a client of a store and its server: counts connections, answers for the server where told to, lies, and sees how requests end.
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
  /** How far away it is, for what is brought to it; null for on this computer. */
  far: Far | null;
  /** What is done to a request; null for nothing. */
  lie: (asked: IncomingMessage) => Lie | null;
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

export interface Far {
  /** From the last byte of a request to the first of its answer. */
  readonly delayMs: number;
  /** Most that one request brings, and that all together do. */
  readonly requestBytesPerSecond: number;
  readonly lineBytesPerSecond: number;
}

export type Lie =
  /** Answers so itself; the request goes no further. */
  | { readonly status: number; readonly headers?: Record<string, string> }
  /** The answer's connection breaks after so many bytes of its body. */
  | { readonly dropAt: number }
  /** The request's connection breaks after so many bytes of its body. */
  | { readonly breakAt: number }
  /** The request's body has one bit wrong, at this byte. */
  | { readonly spoilAt: number }
  /** The answer says that it has so many bytes less, and has. */
  | { readonly shorterBy: number }
  /** The answer has one bit wrong, at this byte. */
  | { readonly flipAt: number };

const slowDown =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';

export async function startMiddleman(target: string): Promise<Middleman> {
  const { hostname, port } = new URL(target);
  const seen = { requests: 0, connections: 0 };
  let way: "open" | "cut" | "stalled" = "open";
  let stalls: RegExp | null = null;
  const wayOf = openLine();
  const forward = (asked: IncomingMessage, answer: ServerResponse, lie: Lie | null) => {
    // The socket itself: an answer that has said all it is given lets go of it.
    const { method, url: path, headers, socket } = asked;
    const { far } = middleman;
    const came = far ? asked.pipe(wayOf(far)) : asked;
    const onward = request({ hostname, port, method, path, headers }, async (given) => {
      if (far) await after(far.delayMs);
      const length = Number(given.headers["content-length"] ?? 0);
      const kept = lie && "shorterBy" in lie ? Math.max(0, length - lie.shorterBy) : Infinity;
      answer.writeHead(given.statusCode ?? 502, { ...given.headers, ...(kept === Infinity ? {} : { "content-length": String(kept) }) });
      given
        .pipe(passage())
        .pipe(liar(lie, kept, () => socket.destroy()))
        .pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    if (lie && "breakAt" in lie) came.pipe(liar({ dropAt: lie.breakAt }, Infinity, () => socket.destroy())).pipe(onward);
    else if (lie && "spoilAt" in lie) came.pipe(liar({ flipAt: lie.spoilAt }, Infinity, () => undefined)).pipe(onward);
    else came.pipe(onward);
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
    const lie = middleman.lie(asked);
    if (lie && "status" in lie) return answerFor(asked, answer, lie, middleman.far ? { far: middleman.far, wayOf } : null);
    if (middleman.slowDowns === 0) return forward(asked, answer, lie);
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
    far: null,
    lie: () => null,
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

type WayOf = (far: Far) => Transform;

/** Answers itself, once all of the request has come. */
function answerFor(
  asked: IncomingMessage,
  answer: ServerResponse,
  { status, headers }: { status: number; headers?: Record<string, string> },
  slow: { far: Far; wayOf: WayOf } | null,
): void {
  const came = slow ? asked.pipe(slow.wayOf(slow.far)) : asked;
  came.resume().on("end", async () => {
    if (slow) await after(slow.far.delayMs);
    answer.writeHead(status, headers).end();
  });
}

/** Timers are late by some milliseconds: so much of what was missed is made up for. */
const lateMs = 5;

/** The way of each request, which all share. */
function openLine(): WayOf {
  let lineFreeAt = 0;
  return ({ requestBytesPerSecond, lineBytesPerSecond }) => {
    let freeAt = 0;
    return new Transform({
      transform: async (part: Buffer, _encoding, done) => {
        const now = performance.now();
        freeAt = Math.max(now - lateMs, freeAt) + (part.byteLength * 1000) / requestBytesPerSecond;
        lineFreeAt = Math.max(now - lateMs, lineFreeAt) + (part.byteLength * 1000) / lineBytesPerSecond;
        const waitMs = Math.max(freeAt, lineFreeAt) - now;
        if (waitMs > 1) await after(waitMs);
        done(null, part);
      },
    });
  };
}

/** Passes bytes on as the lie has it; `kept` of them at most. */
function liar(lie: Lie | null, kept: number, drop: () => void): Transform {
  let at = 0;
  return new Transform({
    transform: (part: Buffer, _encoding, done) => {
      const from = at;
      at += part.byteLength;
      if (lie && "flipAt" in lie && lie.flipAt >= from && lie.flipAt < at) {
        const wrong = Buffer.from(part);
        wrong.writeUInt8(wrong.readUInt8(lie.flipAt - from) ^ 1, lie.flipAt - from);
        return done(null, wrong);
      }
      const end = Math.min(kept, lie && "dropAt" in lie ? lie.dropAt : Infinity);
      if (lie && "dropAt" in lie && at >= end) setImmediate(drop);
      done(null, from >= end ? undefined : part.subarray(0, end - from));
    },
  });
}
