/**
 * Where a provider sends the browser back to: a port of this computer, for one answer.
 *
 * The one idea: only the answer with the state of this login counts; whatever else calls the port is told so and changes nothing.
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { usageFault } from "../problem.ts";

export interface Redirect {
  readonly uri: string;
  /** The address that the browser came with; fails when nobody comes in time. */
  readonly answered: Promise<URL>;
  close(): void;
}

interface Waiting {
  readonly state: string;
  readonly port: number;
  readonly patienceMs: number;
}

export async function listenForRedirect({ state, port, patienceMs }: Waiting): Promise<Redirect> {
  const { promise: answered, resolve, reject } = Promise.withResolvers<URL>();
  // Whoever waits is told; a login that failed before does not wait.
  answered.catch(() => undefined);
  const server = createServer((request, response) => {
    const url = URL.parse(request.url ?? "", "http://127.0.0.1");
    if (url?.pathname !== "/callback" || url.searchParams.get("state") !== state)
      return page(response, 400, "This is no answer to a login.");
    page(response, 200, "Drover has the provider's answer. You can close this window and go back to the terminal.");
    resolve(new URL(`${uri}${url.search}`));
  });
  await new Promise<void>((listening, failed) => server.once("error", failed).listen(port, "127.0.0.1", listening)).catch(() => {
    throw usageFault(`The port ${port} of this computer is taken: name another with --redirect-port.`, "drover login");
  });
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
  const limit = AbortSignal.timeout(patienceMs);
  limit.addEventListener("abort", () => reject(limit.reason), { once: true });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { uri, answered, close };
}

function page(response: ServerResponse, status: number, text: string): void {
  const headers = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", connection: "close" };
  response.writeHead(status, headers).end(`${text}\n`);
}
