/**
 * Answers to requests that nobody could read: too slow, too long, or no HTTP at all.
 *
 * The one idea: there is no request yet, only a socket and some bytes; as far as those tell the path, the answer has the shape that its clients parse.
 */
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { codes } from "../domain/errors.ts";
import { isWire, routedPath } from "./paths.ts";

interface Unread extends Error {
  readonly code?: string;
  readonly rawPacket?: Buffer;
}
/** Of Node's sockets: the answer that has begun on it. */
interface Answering {
  readonly _httpMessage?: { readonly headersSent: boolean };
}

export function refuseUnread(error: Unread, socket: Duplex & Answering): void {
  if (error.code === "ECONNRESET" || !socket.writable || socket._httpMessage?.headersSent) return void socket.destroy();
  const { status, message } = meaningOf(error);
  const path = pathOf(error);
  const wire = path === null || isWire(path);
  const body = JSON.stringify(
    wire
      ? { message, code: status }
      : { code: "invalid_request", message, remedy: codes.invalid_request.remedy, requestId: crypto.randomUUID(), status },
  );
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: application/${wire ? "json" : "problem+json"}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

function meaningOf(error: Unread): { status: number; message: string } {
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") return { status: 408, message: "The request did not come to its end in time." };
  if (error.code !== "HPE_HEADER_OVERFLOW") return { status: 400, message: "What came is no HTTP request." };
  // The first line alone is the address.
  if (error.rawPacket && !error.rawPacket.includes("\r\n")) return { status: 414, message: "The address is longer than 8192 characters." };
  return { status: 431, message: "The headers have more than 16384 bytes." };
}

function pathOf({ rawPacket }: Unread): string | null {
  const [, target] = /^[A-Z]+ (\/[^ ?]*)/.exec(rawPacket?.subarray(0, 1024).toString("latin1") ?? "") ?? [];
  return target === undefined ? null : routedPath(target, "/api");
}
