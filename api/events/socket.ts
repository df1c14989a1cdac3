/**
 * One WebSocket as what carries events to a reader.
 *
 * The one idea: what the reader has not taken yet is bounded by bytes; until it takes them nothing more is read for it. Who answers no ping is gone.
 */
import type { WebSocket } from "ws";
import type { Transport } from "./listeners.ts";

/** Hundreds of messages: more on the way would only wait here. */
const onTheWayBytes = 1024 ** 2;
/** Shorter than the idle limit of common proxies, which is 60 s. */
const pingEveryMs = 30_000;
/** A ping and a half without an answer. */
const silentMs = 45_000;

export interface SocketTransport extends Transport {
  readonly pingedAt: () => Date;
  readonly answeredAt: () => Date;
  /** Bytes that the reader has not taken. */
  readonly waiting: () => number;
  /** When the socket is gone. */
  close(): void;
}

export function socketTransport(socket: WebSocket): SocketTransport {
  let [pingedAt, answeredAt] = [new Date(), new Date()];
  socket.on("pong", () => {
    answeredAt = new Date();
  });
  const pinging = setInterval(() => {
    if (Date.now() - answeredAt.getTime() > pingEveryMs + silentMs) return socket.terminate();
    pingedAt = new Date();
    socket.ping();
  }, pingEveryMs);
  pinging.unref();
  return {
    isReady: () => socket.bufferedAmount < onTheWayBytes,
    send: ({ data }) => socket.send(data),
    end: (why) => socket.close(1008, why),
    pingedAt: () => pingedAt,
    answeredAt: () => answeredAt,
    waiting: () => socket.bufferedAmount,
    close: () => clearInterval(pinging),
  };
}
