/**
 * A generic repository of Artifactory as a store.
 *
 * It has no write that refuses to replace, so the key is asked for first, and this process lets one writer of a key in at a time; of writers elsewhere the last
 * one stays, which harms nothing where the name is a hash. Bytes that the server has already, under any name, do not travel: it takes them by their checksum.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { FaultError } from "../domain/errors.ts";
import { artifactoryPlace, asked, pathOf, refusal, textOf, type ArtifactoryOptions, type ArtifactoryPlace } from "./artifactory-client.ts";
import { checksumRefused, endsBefore, storeCorrupt, storeUnavailable } from "./faults.ts";
import { checkKey, type ByteRange, type ObjectStore, type StoredObject, type WriteOutcome } from "./object-store.ts";
import { retrier, type Retry } from "./retry.ts";
import { expectedBytes, steadyRead, type OpenedRead } from "./steady-read.ts";

interface Place extends ArtifactoryPlace {
  readonly retry: Retry;
}

/** Below it a request that may end in 404 costs more than the bytes. */
const deployByChecksumFrom = 64 * 1024;

export function artifactoryStore(options: ArtifactoryOptions): ObjectStore {
  const place: Place = { ...artifactoryPlace(options), retry: retrier() };
  const steadily = <T>(call: () => Promise<T>, signal?: AbortSignal) => place.retry.run(call, signal);
  const alone = oneWriterPerKey();
  return {
    read: async (key, range, signal) =>
      steadyRead({ key, range, open: (wanted, within) => begin(place, key, wanted, within), retry: place.retry, signal }),
    write: async (key, body, sha256, signal) => alone(checkKey(key), () => steadily(() => write(place, key, body, sha256, signal), signal)),
    size: (key) => steadily(() => size(place, key)),
    list: (start) => list(place, start),
    remove: (key) => steadily(() => remove(place, key)),
  };
}

/** Callers of one key wait for each other. */
function oneWriterPerKey() {
  const busy = new Map<string, Promise<unknown>>();
  return async <T>(key: string, act: () => Promise<T>): Promise<T> => {
    const mine = (busy.get(key) ?? Promise.resolve()).then(act, act);
    const done = mine.catch(() => undefined);
    busy.set(key, done);
    try {
      return await mine;
    } finally {
      if (busy.get(key) === done) busy.delete(key);
    }
  };
}

async function begin(place: Place, key: string, range: ByteRange | null, signal: AbortSignal): Promise<OpenedRead> {
  const ranged: Record<string, string> = range ? { range: `bytes=${range.offsetBytes}-${range.offsetBytes + range.lengthBytes - 1}` } : {};
  const answer = await asked(place, { key, method: "GET", path: pathOf(place, key), headers: ranged, signal });
  if (answer.statusCode === 416 && range) throw endsBefore(key, range.offsetBytes);
  if (answer.statusCode !== 200 && answer.statusCode !== 206) throw await refusal(key, answer);
  const { "content-range": contentRange, "content-length": length } = answer.headers;
  const bytes = expectedBytes(key, range, { contentRange, contentLength: length === undefined ? undefined : Number(length) });
  return { body: answer, bytes, digest: digestOf(answer) };
}

async function write(place: Place, key: string, body: Uint8Array, sha256: string, signal: AbortSignal): Promise<WriteOutcome> {
  signal.throwIfAborted();
  if (createHash("sha256").update(body).digest("hex") !== sha256) throw checksumRefused(key);
  if ((await size(place, key)) !== null) return "present";
  const path = pathOf(place, key);
  const headers = { "x-checksum-sha256": sha256, "content-type": "application/octet-stream" };
  if (body.byteLength >= deployByChecksumFrom) {
    const known = await asked(place, { key, method: "PUT", path, headers: { ...headers, "x-checksum-deploy": "true" }, signal });
    if (known.statusCode === 201) return kept(key, sha256, known);
    // 404: it has no such bytes yet. Whatever else it dislikes, the next request tells.
    await textOf(key, known);
  }
  const sent = { ...headers, "content-length": String(body.byteLength) };
  const answer = await asked(place, { key, method: "PUT", path, headers: sent, body, signal });
  if (answer.statusCode === 201) return kept(key, sha256, answer);
  if (answer.statusCode === 409) throw checksumRefused(key);
  if (answer.statusCode === 404)
    throw new FaultError({ code: "store_invalid", message: `The store has no repository "${place.repo}".`, subject: place.repo });
  throw await refusal(key, answer);
}

/** The server tells what it keeps. */
async function kept(key: string, sha256: string, answer: IncomingMessage): Promise<WriteOutcome> {
  const told = /"sha256"\s*:\s*"([0-9a-f]{64})"/.exec(await textOf(key, answer))?.[1];
  if (told !== undefined && told !== sha256) throw storeCorrupt(key, "was kept with another SHA-256 than it was sent with");
  return "written";
}

async function size(place: Place, key: string): Promise<number | null> {
  const answer = await asked(place, { key, method: "HEAD", path: pathOf(place, key) });
  if (answer.statusCode === 404) return null;
  if (answer.statusCode !== 200) throw await refusal(key, answer);
  return Number(answer.headers["content-length"] ?? 0);
}

async function remove(place: Place, key: string): Promise<void> {
  const answer = await asked(place, { key, method: "DELETE", path: pathOf(place, key) });
  if (answer.statusCode === 404 || (answer.statusCode ?? 0) < 300) return void (await textOf(key, answer));
  throw await refusal(key, answer);
}

interface Listing {
  readonly files?: readonly { readonly uri?: string; readonly size?: number; readonly lastModified?: string; readonly folder?: boolean }[];
}

async function* list(place: Place, start: string): AsyncIterable<StoredObject> {
  const { repo, prefix, retry } = place;
  const folder = start.slice(0, start.lastIndexOf("/") + 1);
  const path = `/api/storage/${repo}/${prefix}${folder}?list&deep=1&listFolders=0`;
  const text = await retry.run(async () => {
    const answer = await asked(place, { key: start, method: "GET", path });
    if (answer.statusCode === 404) return void (await textOf(start, answer));
    if (answer.statusCode !== 200) throw await refusal(start, answer);
    return textOf(start, answer);
  });
  if (text === undefined) return;
  for (const { uri = "", size: bytes = 0, lastModified, folder: isFolder } of filesIn(start, text)) {
    const key = `${folder}${uri.replace(/^\//, "")}`;
    // What has no time counts as new: whoever collects by age then leaves it.
    const modifiedAt = lastModified === undefined ? new Date() : new Date(lastModified);
    if (isFolder !== true && key.startsWith(start)) yield { key, bytes, modifiedAt };
  }
}

function filesIn(what: string, text: string): NonNullable<Listing["files"]> {
  try {
    return (JSON.parse(text) as Listing).files ?? [];
  } catch (cause) {
    throw storeUnavailable(`the list of "${what}"`, "it answered no JSON", cause);
  }
}

function digestOf({ headers }: IncomingMessage): OpenedRead["digest"] {
  const told = headers["x-checksum-sha256"];
  return typeof told === "string" && /^[0-9a-f]{64}$/.test(told) ? { algorithm: "sha256", hex: told } : undefined;
}
