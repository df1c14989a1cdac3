/** A receiver of webhooks: an HTTP server on loopback that keeps what it was sent and answers as it is told. */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
export interface Said {
  readonly status: number;
  readonly body?: string;
  readonly location?: string;
  /** Never answers. */
  readonly silent?: boolean;
}

export async function openReceiver() {
  const received: Received[] = [];
  /** What is answered next at a path; the last one again and again. */
  const answers = new Map<string, Said[]>();
  const answerAt = (path: string): Said => {
    const said = answers.get(path) ?? [];
    return (said.length > 1 ? said.shift() : said[0]) ?? { status: 200, body: "thanks" };
  };
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ path: request.url ?? "", headers: request.headers, body });
      const { status, body: answer = "", location, silent } = answerAt(request.url ?? "");
      if (silent) return;
      response.writeHead(status, location === undefined ? {} : { Location: location }).end(answer);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    received,
    url: (path = "/hook") => `http://127.0.0.1:${port}${path}`,
    answer: (path: string, ...said: Said[]) => void answers.set(path, said),
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
export type Receiver = Awaited<ReturnType<typeof openReceiver>>;
