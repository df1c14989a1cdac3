/** Grants on a store that signs requests itself: the bytes pass the hub by, and no host ever sees a key of the store. */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grantedStore } from "../../activities/host/granted-store.ts";
import type { HubLink } from "../../activities/host/hub-link.ts";
import { operations, stores } from "../../db/schema.ts";
import { credentialsContext } from "../../gateway/stores.ts";
import { packKey } from "../../images/format.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { startS3Server, type S3Server } from "../stores/s3-server.ts";
import { startHub, type Hub } from "./hub.ts";

let hub: Hub;
let s3: S3Server;
let folder: string;
let storeId: string;
let hostId: string;
let link: HubLink;
const signal = new AbortController().signal;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  [hub, s3, folder] = await Promise.all([startHub(), startS3Server(), mkdtemp(join(tmpdir(), "drover-presigned-"))]);
  storeId = randomUUID();
  const credentials = { accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey };
  const sealed = await hub.security.sealer.seal(credentials, credentialsContext(storeId));
  const location = `s3://${await s3.makeBucket()}/?endpoint=${encodeURIComponent(s3.endpoint)}&region=us-east-1`;
  await hub.db.insert(stores).values({ id: storeId, name: "s3", kind: "s3", location, sealed });
  const identity = await hub.enrol("mac");
  hostId = identity.hostId;
  link = await hub.link(identity);
}, 180_000);
afterAll(async () => {
  await Promise.all([hub.stop(), s3.stop()]);
  await rm(folder, { recursive: true, force: true });
});

describe("presigned grants", () => {
  it("carry a push and a pull to and from the store itself", async () => {
    const content = randomBytes(3 * 1024 ** 2);
    const bundlePath = join(folder, "image.pvm");
    await mkdir(bundlePath);
    await writeFile(join(bundlePath, "disk.bin"), content);
    const store = grantedStore(link, await operation("push", { storeId, catalogId: "image" }), signal);
    await store.begin();
    const { digest, generation } = await pushBundle({
      bundlePath,
      store,
      bases: [],
      journalPath: join(folder, "journal"),
      generation: 1,
      signal,
    });
    const pull = grantedStore(link, await operation("pull", { chosen: { storeId, digest, generation } }), signal);
    const targetPath = join(folder, "pulled");
    await pullTree({ digest, generation, store: pull, targetPath, seeds: [], signal });
    expect(sha256(await readFile(join(targetPath, "bundle", "disk.bin")))).toBe(sha256(content));
  });

  it("tell what is there already and what is missing, and name the store's own address without its keys", async () => {
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
    expect(objects[0]?.url.startsWith(s3.endpoint)).toBe(true);
    expect(JSON.stringify(objects)).not.toContain(s3.secretKey);
  });
});

async function operation(verb: "push" | "pull", input: Record<string, unknown>): Promise<string> {
  const id = randomUUID();
  const said = { verb, state: "running", subject: "x", actor: "root", actorId: "root", onFault: "fail", input } as const;
  await hub.db.insert(operations).values({ id, hostId, workflowId: `${verb}/${id}`, ...said });
  return id;
}
