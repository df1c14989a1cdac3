/**
 * Grants on each provider: presigned where it signs requests itself, else carried by the gateway. No host ever sees a key of the store, and a grant that is
 * stolen reaches nothing else.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grantedStore } from "../../activities/host/granted-store.ts";
import type { HubLink } from "../../activities/host/hub-link.ts";
import { operations, stores } from "../../db/schema.ts";
import type { StoreCredentials } from "../../domain/catalog/store-credentials.ts";
import { formatStoreLocation, type StoreLocation } from "../../domain/catalog/store-location.ts";
import type { GrantedObject } from "../../domain/hosts/schema.ts";
import { credentialsContext } from "../../gateway/stores.ts";
import { packKey } from "../../images/format.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { grantSignatures } from "../../security/grant-signatures.ts";
import { openStore } from "../../stores/open.ts";
import { readAll, type ObjectStore } from "../../stores/object-store.ts";
import { startProviders, type Providers } from "../stores/providers.ts";
import { selfSigned, startTlsFront } from "../stores/tls.ts";
import { startHub, type Hub } from "./hub.ts";

let hub: Hub;
let providers: Providers;
let folder: string;
let hostId: string;
let link: HubLink;
let front: Awaited<ReturnType<typeof startTlsFront>>;
const signal = new AbortController().signal;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  [hub, providers, folder] = await Promise.all([startHub(), startProviders(), mkdtemp(join(tmpdir(), "drover-presigned-"))]);
  const tls = await selfSigned();
  front = await startTlsFront(providers.s3.endpoint, tls);
  await writeFile(join(folder, "ca.pem"), tls.certificate);
  const identity = await hub.enrol("mac");
  hostId = identity.hostId;
  link = await hub.link(identity);
}, 120_000);
afterAll(async () => {
  await Promise.all([hub.stop(), providers.stop(), front.stop()]);
  await rm(folder, { recursive: true, force: true });
});

type Kind = "s3" | "s3 behind a certificate of one's own" | "azure" | "artifactory";

/** A row for a store of that kind, with its credentials sealed, and the store itself as the hub opens it. */
async function storeOf(kind: Kind): Promise<{ storeId: string; store: ObjectStore; secret: string }> {
  const { s3, azure, artifactory, bucket, container } = providers;
  const prefix = `${randomUUID()}/`;
  const keys = { accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey };
  const byCertificate = { endpoint: front.endpoint, ca: join(folder, "ca.pem") };
  const place = { kind: "s3", bucket, prefix, region: "us-east-1" } as const;
  const known: Record<Kind, { location: StoreLocation; credentials: StoreCredentials; secret: string }> = {
    s3: { location: { ...place, endpoint: s3.endpoint }, credentials: keys, secret: s3.secretKey },
    "s3 behind a certificate of one's own": { location: { ...place, ...byCertificate }, credentials: keys, secret: s3.secretKey },
    azure: {
      location: { kind: "azure", account: azure.account, container, prefix, endpoint: azure.endpoint },
      credentials: { accountKey: azure.accountKey },
      secret: azure.accountKey,
    },
    artifactory: {
      location: { kind: "artifactory", repo: artifactory.repo, prefix, endpoint: artifactory.endpoint },
      credentials: { token: artifactory.token },
      secret: artifactory.token,
    },
  };
  const { location, credentials, secret } = known[kind];
  const storeId = randomUUID();
  const sealed = await hub.security.sealer.seal(credentials, credentialsContext(storeId));
  await hub.db.insert(stores).values({ id: storeId, name: storeId, kind: location.kind, location: formatStoreLocation(location), sealed });
  return { storeId, store: openStore(location, credentials), secret };
}

describe.each<Kind>(["s3", "s3 behind a certificate of one's own", "azure", "artifactory"])("grants on %s", (kind) => {
  it("carry a push and a pull, bit by bit", async () => {
    const { storeId } = await storeOf(kind);
    const content = randomBytes(3 * 1024 ** 2);
    const work = await mkdtemp(join(folder, "work-"));
    const bundlePath = join(work, "image.pvm");
    await mkdir(bundlePath);
    await writeFile(join(bundlePath, "disk.bin"), content);
    const store = grantedStore(link, await operation("push", { storeId, catalogId: "image" }), signal);
    await store.begin();
    const journalPath = join(work, "journal");
    const { digest, generation } = await pushBundle({ bundlePath, store, bases: [], journalPath, generation: 1, signal });
    const pull = grantedStore(link, await operation("pull", { chosen: { storeId, digest, generation } }), signal);
    const targetPath = join(work, "pulled");
    await pullTree({ digest, generation, store: pull, targetPath, seeds: [], signal });
    expect(sha256(await readFile(join(targetPath, "bundle", "disk.bin")))).toBe(sha256(content));
  });

  it("tell what is there already and what is missing, and carry no key of the store", async () => {
    const { storeId, secret } = await storeOf(kind);
    const operationId = await operation("push", { storeId, catalogId: "image" });
    const store = grantedStore(link, operationId, signal);
    const fence = await store.begin();
    const body = randomBytes(1000);
    const key = packKey(sha256(body));
    expect(await store.size(key)).toBeNull();
    expect(await store.write(key, body, sha256(body), signal)).toBe("written");
    expect(await store.write(key, body, sha256(body), signal)).toBe("present");
    expect(await store.size(key)).toBe(1000);
    const { objects } = await link.grants({ operationId, fence, write: [{ key, sha256: sha256(body), bytes: 1000 }] });
    expect(JSON.stringify(objects)).not.toContain(secret);
    const direct = kind.startsWith("s3");
    expect(objects[0]?.url.startsWith("http")).toBe(direct);
  });

  it("are renewed while a transfer runs: shortly before their end, and when the store refuses one", async () => {
    const { storeId } = await storeOf(kind);
    const { key, body, pullId } = await stored(storeId);
    let asked = 0;
    const spoiled = (object: GrantedObject) => ({ ...object, url: object.url.replace(/(sig|signature)=.{4}/i, "$1=AAAA") });
    const grants: HubLink["grants"] = async (request, within) => {
      const answer = await link.grants(request, within);
      return ++asked === 1 ? { ...answer, objects: answer.objects.map(spoiled) } : answer;
    };
    const refused = grantedStore({ ...link, grants }, pullId, signal);
    expect((await readAll(await refused.read(key, null, signal), key, 1 << 20)).equals(body)).toBe(true);
    expect(asked).toBe(2);
    // A quarter of an hour less half a minute later: the first grant has too little left to begin a read with.
    let later = 0;
    const ending = grantedStore({ ...link, grants, now: () => link.now() + later }, pullId, signal);
    for (later of [0, 0, 14.5 * 60_000]) await readAll(await ending.read(key, { offsetBytes: 1, lengthBytes: 5 }, signal), key, 100);
    expect(asked).toBe(4);
  });

  it("that are stolen reach no other object, by no other verb, and nothing once they ended", async () => {
    const { storeId, store } = await storeOf(kind);
    const { key, body, pullId } = await stored(storeId);
    const other = randomBytes(1000);
    const otherKey = packKey(sha256(other));
    await store.write(otherKey, other, sha256(other), signal);
    const { objects } = await link.grants({ operationId: pullId, begin: true, read: [key] });
    const url = objects[0]?.url ?? "";
    expect(await asThief("GET", url)).toEqual({ status: 200, body: sha256(body) });
    for (const wrong of [
      asThief("GET", url.replace(key, otherKey)),
      asThief("GET", url.replace(key, "store.json")),
      asThief("PUT", url, randomBytes(1000)),
      asThief("PUT", url.replace(key, packKey(sha256(Buffer.from("new")))), Buffer.from("new")),
      asThief("DELETE", url),
      asThief("GET", url.replace(`/${key}`, "/?list-type=2").replace(/\?(.*)\?/, "?$1&")),
    ])
      expect((await wrong).status).toBeGreaterThanOrEqual(400);
    expect(await store.size(key)).toBe(body.byteLength);
    expect(await store.size(packKey(sha256(Buffer.from("new"))))).toBeNull();
    const ended = await endedUrl(store, storeId, key);
    await expect.poll(async () => (await asThief("GET", ended)).status, { timeout: 20_000 }).toBe(403);
  });
});

describe("grants of one store", () => {
  it("open nothing at another address or account", async () => {
    const { s3, azure } = providers;
    const [onS3, onAzure] = [await storeOf("s3"), await storeOf("azure")];
    for (const { store } of [onS3, onAzure]) await store.write("x", Buffer.from("x"), sha256(Buffer.from("x")), signal);
    const signed = await onS3.store.presign?.({ method: "GET", key: "x", ttlSeconds: 60 });
    // The name of the server is part of what was signed.
    expect((await fetch(signed?.url.replace("127.0.0.1", "localhost") ?? "")).status).toBe(403);
    expect(new URL(s3.endpoint).hostname).toBe("127.0.0.1");
    const sas = await onAzure.store.presign?.({ method: "GET", key: "x", ttlSeconds: 60 });
    expect((await fetch(sas?.url.replace(azure.account, "devstoreaccount1") ?? "")).status).toBeGreaterThanOrEqual(400);
  });
});

/** A pack that a push has brought, and an operation that may read it. */
async function stored(storeId: string) {
  const work = await mkdtemp(join(folder, "stored-"));
  const bundlePath = join(work, "image.pvm");
  await mkdir(bundlePath);
  await writeFile(join(bundlePath, "disk.bin"), randomBytes(200_000));
  const push = grantedStore(link, await operation("push", { storeId, catalogId: randomUUID() }), signal);
  await push.begin();
  const journalPath = join(work, "journal");
  const { digest, generation } = await pushBundle({ bundlePath, store: push, bases: [], journalPath, generation: 1, signal });
  const pullId = await operation("pull", { chosen: { storeId, digest, generation } });
  const key = `.drover/v1/trees/${digest}`;
  const store = grantedStore(link, pullId, signal);
  return { key, body: await readAll(await store.read(key, null, signal), key, 1 << 20), pullId };
}

/** A request by somebody who has the address of a grant and nothing else. */
async function asThief(method: string, url: string, body?: Buffer): Promise<{ status: number; body: string }> {
  if (!url.startsWith("/")) {
    const ca = await readFile(join(folder, "ca.pem"), "utf8");
    const sent = {
      key: "stolen",
      method: method as "GET",
      url,
      headers: body ? { "content-length": String(body.byteLength) } : {},
      body,
      ca,
      signal,
    };
    return answerOf(await link.stores.send(sent));
  }
  return answerOf(await link.send({ method: method as "GET", path: url, headers: {}, signal, ...(body ? { body } : {}) }));
}

async function answerOf(answer: Awaited<ReturnType<HubLink["send"]>>): Promise<{ status: number; body: string }> {
  const body = Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>));
  return { status: answer.statusCode ?? 0, body: sha256(body) };
}

async function endedUrl(store: ObjectStore, storeId: string, key: string): Promise<string> {
  const signed = await store.presign?.({ method: "GET", key, ttlSeconds: 1 });
  if (signed) return signed.url;
  const expiresAt = new Date(Date.now() - 1000);
  return `/host/v1/objects/${key}?${await grantSignatures(hub.security.ring).sign({ method: "GET", storeId, key, expiresAt })}`;
}

async function operation(verb: "push" | "pull", input: Record<string, unknown>): Promise<string> {
  const id = randomUUID();
  const said = { verb, state: "running", subject: "x", actor: "root", actorId: "root", onFault: "fail", input } as const;
  await hub.db.insert(operations).values({ id, hostId, workflowId: `${verb}/${id}`, ...said });
  return id;
}
