/**
 * Stands before an S3 server and counts how often each object was taken.
 *
 * The one idea: "sent twice" is judged where the bytes arrive. An object that the server took once must never come again, whoever lost the answer, unless
 * its sender had asked and was told, truly then, that it is not there: what it had given up sending was still on its way.
 */
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

export interface Puts {
  readonly endpoint: string;
  /** Packs that came again after the server had taken them. */
  again(): string[];
  /** Packs that came again because the question after them overtook them. */
  crossed(): string[];
  taken(): number;
  stop(): Promise<void>;
}

const isPack = (path: string) => path.includes("/packs/");

export async function countPuts(target: string): Promise<Puts> {
  const { hostname, port } = new URL(target);
  const taken = new Set<string>();
  const again: string[] = [];
  const crossed: string[] = [];
  const begun = new Set<string>();
  /** Asked for after a sender had given up sending them, when the server had not taken them yet. */
  const missed = new Set<string>();
  const server = createServer((asked, answer) => {
    const { method, url = "", headers } = asked;
    const path = url.split("?")[0] ?? "";
    const counts = method === "PUT" && isPack(path);
    if (counts && taken.has(path)) (missed.delete(path) ? crossed : again).push(path);
    if (counts) begun.add(path);
    const onward = request({ hostname, port, method, path: url, headers }, (given) => {
      if (counts && given.statusCode === 200) taken.add(path);
      if (method === "HEAD" && isPack(path)) {
        if (given.statusCode === 404 && begun.has(path)) missed.add(path);
        else missed.delete(path);
      }
      answer.writeHead(given.statusCode ?? 502, given.headers);
      given.pipe(answer);
    });
    onward.on("error", () => answer.destroy());
    asked.on("error", () => onward.destroy());
    // A sender that died has not sent the object: what came of it goes no further.
    asked.on("close", () => !asked.complete && onward.destroy());
    asked.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    again: () => [...again],
    crossed: () => [...crossed],
    taken: () => taken.size,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
