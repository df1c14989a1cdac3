/**
 * The peer port: serves chunks of the images on this host to other hosts, as far as each one's certificate says.
 *
 * The one idea: nobody gets in without a certificate of our hub's authority, and each names the one image that it is good for. What is handed out was hashed a
 * moment before, so rot does not spread.
 */
import { type X509Certificate } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { TLSSocket } from "node:tls";
import { FaultError } from "../../domain/errors.ts";
import type { Cache } from "../../images/cache.ts";
import { readChunks } from "../../images/chunks-here.ts";
import { rowFinder, type Own } from "../../images/near.ts";
import type { Tree } from "../../images/tree.ts";
import { readPeer } from "../../security/peer-certificates.ts";
import type { Pins } from "./pins.ts";

export interface Shared {
  readonly cache: Pick<Cache, "has" | "open" | "paths" | "incoming">;
  readonly pins: Pick<Pins, "holding">;
  /** What a transfer of this host has of the image so far; null where none runs. */
  readonly fetching: (digest: string) => { readonly tree: Tree; readonly own: Own } | null;
  /** Told who asks for an image. */
  readonly onAsked: (digest: string, hostId: string) => void;
}

export interface PeerListening {
  readonly host: string;
  readonly port: number;
  readonly tls: { readonly ca: string; readonly key: string; readonly cert: string };
}

export interface PeerPort {
  renew(certificate: string): void;
  close(): Promise<void>;
}

/** Chunks of one question: 16 MiB of plain bytes at most, twice of what a transfer asks for. */
export const mostRows = 64;
/** Questions in work at once, each of which holds its chunks in memory, and those that wait for their turn: two of each of many hosts. */
const atOnce = 8;
const mostWaiting = 32;
/** Trees of cached images that are kept open: one of 100 GB takes 14 MB. */
const keptTrees = 2;
/** Many neighbours ask one another only every few seconds, on connections that they keep. */
const idleMs = 60_000;

/** How many chunks the image has, or "all" where all of them are here; and the marks of the parts that this host takes from the store. */
export const rowsHeader = "x-drover-rows";
export const takingHeader = "x-drover-taking";

const path = /^\/peer\/v1\/images\/([0-9a-f]{64})(\/chunks)?$/;

export async function servePeers(shared: Shared, { host, port, tls }: PeerListening): Promise<PeerPort> {
  const { ca, key, cert } = tls;
  const work = { shared, trees: new Map<string, ReturnType<typeof rowFinder>>(), turns: openTurns() };
  const options = { ca, key, cert, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" as const };
  const server = createServer(options, (request, response) => {
    answer(work, request, response).catch(() => refuse(response, 500));
  });
  server.setTimeout(idleMs);
  server.keepAliveTimeout = idleMs;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const message = `The peer port ${host}:${port} cannot be opened: another program may use it, or this computer does not have the address.`;
      reject(new FaultError({ code: "port_in_use", message, subject: String(port) }, { cause }));
    });
    server.listen(port, host, resolve);
  });
  return {
    renew: (certificate) => server.setSecureContext({ ca, key, cert: certificate }),
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Work {
  readonly shared: Shared;
  readonly trees: Map<string, ReturnType<typeof rowFinder>>;
  readonly turns: Turns;
}

async function answer(work: Work, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, digest, chunks] = path.exec(request.url ?? "") ?? [];
  if (digest === undefined) return refuse(response, 404);
  const asker = takerOf((request.socket as TLSSocket).getPeerX509Certificate(), digest);
  if (asker === null) return refuse(response, 403);
  if (chunks === undefined) {
    work.shared.onAsked(digest, asker);
    return tellRows(work.shared, digest, response);
  }
  if (request.method !== "POST") return refuse(response, 405);
  if (!(await work.turns.take())) return refuse(response, 503);
  try {
    await work.shared.pins.holding([digest], () => sendChunks(work, digest, request, response));
  } finally {
    work.turns.giveBack();
  }
}

/** Who may take the image. The handshake proved whose certificate it is; a connection may outlive it. */
function takerOf(certificate: X509Certificate | undefined, digest: string): string | null {
  if (!certificate || Date.parse(certificate.validTo) < Date.now()) return null;
  const peer = readPeer(certificate);
  return peer?.digest === digest ? peer.hostId : null;
}

interface Turns {
  /** False: there are too many who wait. */
  take(): Promise<boolean>;
  giveBack(): void;
}

function openTurns(): Turns {
  const waiting: (() => void)[] = [];
  let busy = 0;
  return {
    take: async () => {
      if (waiting.length >= mostWaiting) return false;
      if (busy < atOnce) busy++;
      else await new Promise<void>((resolve) => void waiting.push(resolve));
      return true;
    },
    giveBack: () => {
      const next = waiting.shift();
      if (next) next();
      else busy--;
    },
  };
}

function refuse(response: ServerResponse, status: number): void {
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { "content-length": 0 }).end();
}

async function tellRows({ cache, fetching }: Shared, digest: string, response: ServerResponse): Promise<void> {
  if (await cache.has(digest)) return void response.writeHead(200, { [rowsHeader]: "all", "content-length": 0 }).end();
  const own = fetching(digest)?.own;
  if (!own) return refuse(response, 404);
  const { rows, taking } = own;
  const head = { [rowsHeader]: String(rows.rows), [takingHeader]: [...taking].join(), "content-length": rows.bits.byteLength };
  // As they are now: more come while they travel.
  response.writeHead(200, head).end(Uint8Array.from(rows.bits));
}

async function sendChunks(work: Work, digest: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const rows = await rowsAsked(request);
  const finder = rows && (await finderOf(work, digest));
  if (!rows) return refuse(response, 400);
  if (!finder) return refuse(response, 404);
  const { cache } = work.shared;
  const { bundle } = (await cache.has(digest)) ? cache.paths(digest) : cache.incoming(digest);
  const { lengths, body } = await readChunks(bundle, rows.map(finder.find));
  const head = Buffer.alloc(lengths.length * 4);
  lengths.forEach((length, n) => head.writeUInt32LE(length, n * 4));
  const bytes = body.reduce((sum, chunk) => sum + chunk.byteLength, head.byteLength);
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes });
  for (const part of [head, ...body]) response.write(part);
  response.end();
}

/** Four bytes each; null for what is no such list. */
async function rowsAsked(request: IncomingMessage): Promise<number[] | null> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += (part as Buffer).byteLength;
    if (bytes > mostRows * 4) return null;
    parts.push(part as Buffer);
  }
  if (bytes === 0 || bytes % 4 !== 0) return null;
  const asked = Buffer.concat(parts);
  return Array.from({ length: bytes / 4 }, (_, n) => asked.readUInt32LE(n * 4));
}

async function finderOf({ shared, trees }: Work, digest: string) {
  const known = trees.get(digest);
  if (known) return known;
  const tree = shared.fetching(digest)?.tree ?? (await shared.cache.open(digest))?.tree;
  if (!tree) return null;
  const finder = rowFinder(tree);
  trees.set(digest, finder);
  const [oldest] = trees.keys();
  if (trees.size > keptTrees && oldest !== undefined) trees.delete(oldest);
  return finder;
}
