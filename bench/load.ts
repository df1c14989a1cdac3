/**
 * A process that asks one address again and again over a few connections, each as soon as it has its answer, and tells how fast that went.
 *
 * The one idea: it must cost far less than what it measures, so it sends one ready string and reads of an answer only its length.
 * Its one argument is a `Load` as JSON; it writes a `Loaded` as JSON.
 */
import { connect, type Socket } from "node:net";

export interface Load {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly seconds: number;
}
export interface Loaded {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of one answer's body. */
  readonly bytes: number;
}

async function loaded(load: Load): Promise<Loaded> {
  const until = performance.now() + load.seconds * 1000;
  const request = Buffer.from(requestOf(load));
  const began = performance.now();
  const took: number[] = [];
  const bytes = await Promise.all(Array.from({ length: load.connections }, () => ask(load, request, { until, took })));
  const seconds = (performance.now() - began) / 1000;
  took.sort((a, b) => a - b);
  const at = (share: number) => took[Math.floor(took.length * share)] ?? 0;
  return { perSecond: took.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99), bytes: bytes[0] ?? 0 };
}

function requestOf({ host, port, path, headers }: Load): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${lines.join("")}\r\n`;
}

/** Answers how long the last body was. */
function ask({ host, port }: Load, request: Buffer, { until, took }: { until: number; took: number[] }): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    const reader = openReader();
    let sentAt = 0;
    const send = () => {
      sentAt = performance.now();
      socket.write(request);
    };
    socket
      .once("connect", send)
      .once("error", reject)
      .once("close", () => reject(new Error("The server closed a connection.")));
    socket.on("data", (part: Buffer) => {
      const ended = reader.took(part, socket);
      if (ended === null) return;
      const now = performance.now();
      took.push(now - sentAt);
      if (now < until) return send();
      socket.removeAllListeners("close").destroy();
      resolve(ended);
    });
  });
}

/** Counts the bytes of one answer after the other; null until one is whole. */
function openReader() {
  let head = "";
  let length = 0;
  let left = 0;
  return {
    took: (part: Buffer, socket: Socket): number | null => {
      if (left === 0) {
        head += part.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return null;
        if (!head.startsWith("HTTP/1.1 200 ")) socket.destroy(new Error(`The server answered: ${head.slice(0, 400)}`));
        length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
        left = length - (head.length - end - 4);
        head = "";
      } else left -= part.length;
      return left === 0 ? length : null;
    },
  };
}

process.stdout.write(JSON.stringify(await loaded(JSON.parse(process.argv[2] ?? "{}") as Load)));
