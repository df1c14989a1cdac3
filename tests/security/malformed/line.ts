/**
 * A request as bytes on a connection of its own, and what came back.
 *
 * The one idea: no client library stands between, which would mend or refuse what is to be tried.
 */
import { connect } from "node:net";
import type { Raw } from "./generator.ts";

export interface Came {
  /** Zero: the connection was closed without an answer. */
  readonly status: number;
  readonly text: string;
  readonly ms: number;
  /** Nothing more came, and the connection stayed open. */
  readonly hung: boolean;
}

/** Control characters would end the line that they stand in. */
const harmless = (text: string): string => text.replace(/[\r\n\0]/g, "?");

export function overTheLine(
  port: number,
  { method, path, headers, body }: Raw,
  { token, limitMs }: { token: string; limitMs: number },
): Promise<Came> {
  const own = new Set(headers.map(([name]) => name.toLowerCase()));
  const usual: [string, string][] = [
    ...(own.has("host") ? [] : [["Host", "127.0.0.1"] as [string, string]]),
    ["Authorization", `Bearer ${token}`],
    ["Connection", "close"],
    ...(own.has("content-length") || own.has("transfer-encoding") ? [] : [["Content-Length", String(body.length)] as [string, string]]),
  ];
  const lines = [...usual, ...headers].map(([name, value]) => `${name}: ${harmless(value)}`);
  // What never ends would be waited for, as it should be: that is the subject of the limits' own tests.
  const sent = own.has("transfer-encoding") ? Buffer.from('5\r\n{"a":\r\n0\r\n\r\n') : body;
  const target = harmless(path).replaceAll(" ", "%20");
  const head = Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
  const began = performance.now();
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    const socket = connect(port, "127.0.0.1");
    const end = (hung: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      const text = Buffer.concat(parts).toString();
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text, ms: performance.now() - began, hung });
    };
    const timer = setTimeout(() => end(true), limitMs);
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.on("close", () => end(false));
    socket.on("error", () => end(false));
    socket.write(head);
    socket.write(sent);
  });
}
