/**
 * A small stand-in for an Artifactory server with one generic repository, after its public REST documentation.
 *
 * The one idea: what it answers is what the documentation says of deploying (also by checksum), retrieving, listing and deleting items, down to the headers;
 * it is strict where a real server is.
 */
import { createHash, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Item {
  readonly body: Buffer;
  readonly sha256: string;
  readonly sha1: string;
  readonly md5: string;
  readonly modifiedAt: Date;
}

export interface ArtifactoryServer {
  /** With the context path. */
  readonly endpoint: string;
  readonly repo: string;
  readonly apiKey: string;
  readonly token: string;
  readonly username: string;
  readonly password: string;
  /** Bytes that came in requests. */
  readonly seen: { receivedBytes: number };
  /** From now on nobody is known. */
  revoke(): void;
  /** Everybody is known again. */
  restore(): void;
  stop(): Promise<void>;
}

export async function startArtifactoryServer(): Promise<ArtifactoryServer> {
  const word = () => randomBytes(12).toString("hex");
  const secrets = { apiKey: word(), token: word(), username: "builder", password: `${word()}:;=` };
  const repo = "images-local";
  const items = new Map<string, Item>();
  const seen = { receivedBytes: 0 };
  let known = true;
  const server = createServer((asked, answer) => {
    void bodyOf(asked).then((body) => {
      // Broken off on the way: like a real server it keeps nothing.
      if (body === null) return;
      seen.receivedBytes += body.byteLength;
      if (!known || !isKnown(asked, secrets)) return refuse(answer, 401, "Bad credentials");
      return answerTo({ repo, items, asked, answer, body });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    ...secrets,
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/artifactory`,
    repo,
    seen,
    revoke: () => void (known = false),
    restore: () => void (known = true),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function isKnown({ headers }: IncomingMessage, { apiKey, token, username, password }: Record<string, string>): boolean {
  const basic = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  return headers["x-jfrog-art-api"] === apiKey || headers.authorization === `Bearer ${token}` || headers.authorization === basic;
}

interface Question {
  readonly repo: string;
  readonly items: Map<string, Item>;
  readonly asked: IncomingMessage;
  readonly answer: ServerResponse;
  readonly body: Buffer;
}

function answerTo(question: Question): void {
  const { repo, asked, answer } = question;
  const url = new URL(asked.url ?? "/", "http://server");
  const path = decodeURIComponent(url.pathname).replace(/^\/artifactory\//, "");
  const listed = `api/storage/${repo}/`;
  if (path.startsWith(listed) && url.searchParams.has("list")) return list(question, path.slice(listed.length));
  if (!path.startsWith(`${repo}/`)) return refuse(answer, 404, "Could not find resource");
  const name = path.slice(repo.length + 1);
  if (asked.method === "PUT") return deploy(question, name);
  if (asked.method === "DELETE") return remove(question, name);
  return retrieve(question, name);
}

function deploy({ repo, items, asked: { headers }, answer, body }: Question, name: string): void {
  const told = headers["x-checksum-sha256"];
  if (headers["x-checksum-deploy"] === "true") {
    const same = [...items.values()].find(({ sha256 }) => sha256 === told);
    if (!same) return refuse(answer, 404, "Checksum values not found");
    items.set(name, { ...same, modifiedAt: new Date() });
  } else {
    const item = itemOf(body);
    if (told !== undefined && told !== item.sha256)
      return refuse(answer, 409, `Checksum error: received '${String(told)}' but actual is '${item.sha256}'`);
    items.set(name, item);
  }
  const { sha1, md5, sha256, body: kept } = items.get(name) ?? itemOf(body);
  const text = { repo, path: `/${name}`, size: String(kept.byteLength), checksums: { sha1, md5, sha256 } };
  answer
    .writeHead(201, { "content-type": "application/vnd.org.jfrog.artifactory.storage.ItemCreated+json" })
    .end(JSON.stringify(text, null, 2));
}

const itemOf = (body: Buffer): Item => {
  const hash = (algorithm: string) => createHash(algorithm).update(body).digest("hex");
  return { body, sha256: hash("sha256"), sha1: hash("sha1"), md5: hash("md5"), modifiedAt: new Date() };
};

function retrieve({ items, asked: { method, headers }, answer }: Question, name: string): void {
  const item = items.get(name);
  if (!item) return refuse(answer, 404, "File not found.");
  const { body, sha256, sha1, md5, modifiedAt } = item;
  const described = {
    "x-checksum-sha256": sha256,
    "x-checksum-sha1": sha1,
    "x-checksum-md5": md5,
    etag: sha1,
    "last-modified": modifiedAt.toUTCString(),
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
  };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
  if (from === undefined) {
    answer.writeHead(200, { ...described, "content-length": body.byteLength });
    return void answer.end(method === "HEAD" ? undefined : body);
  }
  const last = Math.min(to === "" ? Infinity : Number(to), body.byteLength - 1);
  if (Number(from) > last) return void answer.writeHead(416, { "content-range": `bytes */${body.byteLength}` }).end();
  const part = body.subarray(Number(from), last + 1);
  answer.writeHead(206, { ...described, "content-length": part.byteLength, "content-range": `bytes ${from}-${last}/${body.byteLength}` });
  answer.end(method === "HEAD" ? undefined : part);
}

function remove({ items, answer }: Question, name: string): void {
  if (!items.delete(name)) return refuse(answer, 404, "Could not locate artifact");
  answer.writeHead(204).end();
}

function list({ items, answer }: Question, folder: string): void {
  const inside = folder.replace(/\/?$/, "/");
  const files = [...items]
    .filter(([name]) => inside === "/" || name.startsWith(inside))
    .map(([name, { body, modifiedAt, sha1, sha256 }]) => ({
      uri: `/${inside === "/" ? name : name.slice(inside.length)}`,
      size: body.byteLength,
      lastModified: modifiedAt.toISOString(),
      folder: false,
      sha1,
      sha2: sha256,
    }));
  if (files.length === 0) return refuse(answer, 404, "Unable to find item");
  answer.writeHead(200, { "content-type": "application/vnd.org.jfrog.artifactory.storage.FileList+json" });
  answer.end(JSON.stringify({ uri: `/api/storage/${folder}`, created: new Date().toISOString(), files }, null, 2));
}

const refuse = (answer: ServerResponse, status: number, message: string): void =>
  void answer.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ errors: [{ status, message }] }, null, 2));

async function bodyOf(asked: IncomingMessage): Promise<Buffer | null> {
  const parts = await Array.fromAsync(asked as AsyncIterable<Buffer>).catch(() => null);
  return parts && Buffer.concat(parts);
}
