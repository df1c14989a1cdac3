/** The engine against a real S3 server, with the wrong credentials too: what it needs of a store, S3 has. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chunkBytes } from "../../images/format.ts";
import { imagePaths } from "../../images/layout.ts";
import { defaultParallel, sharedPackBytes } from "../../images/pack-width.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { checkPacks, readImage } from "../../images/stored.ts";
import { s3Store } from "../../stores/s3.ts";
import { startS3Server, type S3Server } from "../stores/s3-server.ts";
import { listTree, makeDisk, workFolder } from "./samples.ts";

let server: S3Server;
let bucket: string;
beforeAll(async () => {
  server = await startS3Server();
  bucket = await server.makeBucket();
}, 180_000);
afterAll(() => server.stop());

const store = (secretAccessKey = server.secretKey) =>
  s3Store({
    bucket,
    prefix: "images/",
    region: "us-east-1",
    endpoint: server.endpoint,
    credentials: { accessKeyId: server.accessKey, secretAccessKey },
  });
const calm = () => new AbortController().signal;

describe("the engine on S3", () => {
  it("pushes several packs at once, pulls them back bit by bit, and sends only a difference", { timeout: 60_000 }, async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "s3", 160 * chunkBytes);
    const push = { bundlePath: bundle, store: store(), generation: 1, signal: calm() };
    const first = await pushBundle({ ...push, bases: [], journalPath: join(folder.path, "j1") });
    expect(first.packs).toBe(Math.ceil((161 * chunkBytes) / sharedPackBytes(defaultParallel)));
    const { locations } = await readImage(store(), first, calm());
    await checkPacks(store(), locations);
    await pullTree({ ...first, store: store(), targetPath: join(folder.path, "one"), seeds: [], signal: calm() });
    expect(listTree(imagePaths(join(folder.path, "one")).bundle)).toEqual(listTree(bundle));
    makeDisk(bundle, "s3", 161 * chunkBytes);
    const second = await pushBundle({ ...push, bases: [first], journalPath: join(folder.path, "j2") });
    expect(second.newChunks).toBe(1);
    const seeds = [{ digest: first.digest, path: join(folder.path, "one") }];
    const { fetchedBytes } = await pullTree({ ...second, store: store(), targetPath: join(folder.path, "two"), seeds, signal: calm() });
    expect(fetchedBytes).toBeLessThanOrEqual(chunkBytes);
    expect(listTree(imagePaths(join(folder.path, "two")).bundle)).toEqual(listTree(bundle));
  });

  it("is refused as denied with the wrong secret, and can resume with the right one", { timeout: 60_000 }, async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "denied", 8 * chunkBytes);
    const push = { bundlePath: bundle, bases: [], journalPath: join(folder.path, "j"), generation: 1, signal: calm() };
    await expect(pushBundle({ ...push, store: store("wrong") })).rejects.toMatchObject({ fault: { code: "store_denied" } });
    expect(await pushBundle({ ...push, store: store() })).toMatchObject({ newChunks: 9 });
  });
});
