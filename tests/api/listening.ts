/** Followers of events, as clients are: a WebSocket of the wire, and server-sent events read by a browser's parser. */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { expect } from "vitest";
import { WebSocket } from "ws";

export interface Told {
  readonly id: string;
  readonly event_type: string;
  readonly message: string;
  readonly cursor?: string;
  readonly timestamp: string;
  readonly ref_id?: string;
  readonly body?: ReturnType<typeof JSON.parse>;
}

/** Milliseconds that a told event may take on a computer whose disk others wait for. */
const patience = { timeout: 60_000, interval: 20 };

export async function listenTo(port: number, query: string, headers: Readonly<Record<string, string>> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/v1/ws/subscribe?${query}`, { headers });
  const frames: Told[] = [];
  socket.on("message", (data) => frames.push(JSON.parse(String(data))));
  const closed = once(socket, "close").then(([code]) => code as number);
  await once(socket, "open");
  const until = async (wanted: (told: Told) => boolean): Promise<Told> => {
    await expect.poll(() => frames.some(wanted), patience).toBe(true);
    const found = frames.find(wanted);
    if (!found) throw new Error("It was there a moment ago.");
    return found;
  };
  const welcome = await until(({ event_type: type }) => type === "global");
  return { socket, frames, until, welcome, closed };
}

export interface Sse {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: ReturnType<typeof JSON.parse>;
}

/** `read` begins to take what is sent; until then nothing is. */
export async function follow(port: number, path: string, headers: Readonly<Record<string, string>>) {
  const response = await new Promise<IncomingMessage>((resolve, reject) =>
    get({ host: "127.0.0.1", port, path, headers: { Accept: "text/event-stream", ...headers } }, resolve).on("error", reject),
  );
  const events: Sse[] = [];
  let ended = false;
  const read = (): void => {
    const decoder = new TextDecoderStream();
    const writer = decoder.writable.getWriter();
    response.on("data", (part: Buffer) => void writer.write(new Uint8Array(part)));
    response.on("close", () => void writer.close().catch(() => undefined));
    response.on("error", () => undefined);
    void (async () => {
      for await (const { id, event, data } of decoder.readable.pipeThrough(new EventSourceParserStream()))
        if (event !== "begin" && event !== "global") events.push({ id, event, data: JSON.parse(data) });
      ended = true;
    })();
  };
  const until = (wanted: (one: Sse) => boolean) => expect.poll(() => events.some(wanted), patience).toBe(true);
  return { status: response.statusCode, events, read, until, isEnded: () => ended, close: () => response.destroy() };
}
