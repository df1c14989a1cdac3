/** Every store adapter is held to the contract and to the same answers on a bad day, against real servers; what only a folder can get wrong stands below. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { storeRights } from "../../domain/catalog/store-trial.ts";
import { describeObjectStore } from "../../stores/contract.ts";
import { folderStore } from "../../stores/folder.ts";
import { storeDenied } from "../../stores/faults.ts";
import { claimStore, readIdentity } from "../../stores/identity.ts";
import { memoryStore } from "../../stores/memory.ts";
import { readOnlyStore } from "../../stores/read-only.ts";
import { tryStore } from "../../stores/trial.ts";
import { describeLargeObjects } from "./large.ts";
import { describeLies } from "./lies.ts";
import { describeProxies } from "./proxied.ts";
import { endingArtifactory, endingAzure, endingS3, startProviders, type Providers } from "./providers.ts";
import { describeArtifactory, describeAzure, describeAuthorities } from "./others-own.ts";
import { describeS3 } from "./s3-own.ts";

// These move megabytes through threads and disks: a second when quiet, many on a computer that runs three suites at once.
vi.setConfig({ testTimeout: 40_000 });

const calm = () => new AbortController().signal;
const sha256 = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");
let providers: Providers;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-stores-"));
  providers = await startProviders();
}, 180_000);
afterAll(async () => {
  await providers.stop();
  await rm(folder, { recursive: true, force: true });
});

describeObjectStore("memory", async () => memoryStore());
describeObjectStore("folder", async () => folderStore(await mkdtemp(join(folder, "store-"))));
describeObjectStore("s3", async () => providers.s3Store());
describeObjectStore("azure", async () => providers.azureStore());
describeObjectStore("artifactory", async () => providers.artifactoryStore());

describeLies("s3", {
  endpoint: () => providers.s3.endpoint,
  open: (endpoint, prefix) => providers.s3Store({ endpoint, prefix }),
  expiring: (endpoint) => endingS3(providers, endpoint),
});
describeLies("azure", {
  endpoint: () => providers.azure.endpoint,
  open: (endpoint, prefix) => providers.azureStore({ endpoint, prefix }),
  expiring: (endpoint) => endingAzure(providers, endpoint),
});
describeLies("artifactory", {
  endpoint: () => providers.artifactory.endpoint,
  open: (endpoint, prefix) => providers.artifactoryStore({ endpoint, prefix }),
  expiring: (endpoint) => endingArtifactory(providers, endpoint),
});

describe("trying what a transfer needs", () => {
  it.each(["s3", "azure", "artifactory"] as const)("finds every right on %s, and takes away what it wrote", async (kind) => {
    const store = providers[`${kind}Store`]();
    await claimStore(store, "hub", calm());
    const trials = await Array.fromAsync(tryStore(store, "hub", calm()));
    const unneeded = { s3: [], azure: ["sign_write"], artifactory: ["sign_read", "sign_write"] }[kind];
    expect(trials.filter(({ state }) => state === "unneeded").map(({ right }) => right)).toEqual(unneeded);
    expect(trials.filter(({ state }) => state !== "unneeded" && state !== "passed")).toEqual([]);
    expect((await Array.fromAsync(store.list(""))).map(({ key }) => key)).toEqual(["store.json"]);
  });

  it("asks of a read-only store what reading needs, by credentials that may do no more, and leaves no trace", async () => {
    const prefix = `${randomUUID()}/`;
    await providers.s3Store({ prefix }).write("image/one.meta", Buffer.from("{}"), sha256(Buffer.from("{}")), calm());
    const reading = providers.s3Store({ prefix, keys: providers.s3.reader });
    await expect(claimStore(reading, "hub", calm())).rejects.toMatchObject({ fault: { code: "store_denied" } });
    const states = (await Array.fromAsync(tryStore(readOnlyStore(reading), "hub", calm(), { readOnly: true }))).map(
      ({ right, state }) => `${right} ${state}`,
    );
    const needed = ["list", "read", "range", "sign_read"] as const;
    expect(states).toEqual(storeRights.map((right) => `${right} ${needed.some((one) => one === right) ? "passed" : "unneeded"}`));
    expect((await Array.fromAsync(reading.list(""))).map(({ key }) => key)).toEqual(["image/one.meta"]);
    const without = providers.s3Store({ prefix, secret: "wrong" });
    const refused = await Array.fromAsync(tryStore(readOnlyStore(without), "hub", calm(), { readOnly: true }));
    expect(refused.find(({ right }) => right === "list")).toMatchObject({ state: "failed" });
    await expect(readOnlyStore(reading).write("x", Buffer.from("x"), sha256(Buffer.from("x")), calm())).rejects.toMatchObject({
      fault: { code: "store_read_only" },
    });
  });

  it("fails what is refused, and skips what hangs on it", async () => {
    const store = memoryStore();
    await claimStore(store, "hub", calm());
    const refusing = { ...store, write: () => Promise.reject(storeDenied("x", "AccessDenied")) };
    const states = (await Array.fromAsync(tryStore(refusing, "hub", calm()))).map(({ right, state }) => `${right} ${state}`);
    expect(states).toEqual([
      "own passed",
      "list passed",
      "write failed",
      "keep skipped",
      "verify failed",
      "read skipped",
      "range skipped",
      "sign_read skipped",
      "sign_write unneeded",
      "remove skipped",
    ]);
  });
});

describeS3(() => providers);
describeLargeObjects(() => providers);
describeProxies(() => providers);
describeAzure(() => providers);
describeArtifactory(() => providers);
describeAuthorities(() => providers);

describe("folder store", () => {
  it("leaves no temporary file behind, whether a write succeeds, loses or fails", async () => {
    const root = await mkdtemp(join(folder, "clean-"));
    const store = folderStore(root);
    const body = Buffer.from("body");
    await Promise.allSettled([
      store.write("a/x", body, sha256(body), calm()),
      store.write("a/x", body, sha256(body), calm()),
      store.write("a/y", body, sha256(Buffer.from("other")), calm()),
    ]);
    expect(await readdir(join(root, "a"))).toEqual(["x"]);
    expect(await readdir(join(root, "~writing"))).toEqual([]);
  });

  it("clears away what a killed writer left, once it is older than any write, and never lists it", async () => {
    const root = await mkdtemp(join(folder, "sweep-"));
    await mkdir(join(root, "~writing"));
    for (const name of ["old", "young"]) await writeFile(join(root, "~writing", name), "half a pack");
    const longAgo = new Date(Date.now() - 25 * 60 * 60 * 1000);
    await utimes(join(root, "~writing", "old"), longAgo, longAgo);
    const store = folderStore(root);
    await store.write("a/x", Buffer.from("x"), sha256(Buffer.from("x")), calm());
    expect(await readdir(join(root, "~writing"))).toEqual(["young"]);
    expect((await Array.fromAsync(store.list(""))).map(({ key }) => key)).toEqual(["a/x"]);
  });

  it("says which object could not be reached when a folder stands in its place", async () => {
    const root = await mkdtemp(join(folder, "place-"));
    const store = folderStore(root);
    await store.write("a/x", Buffer.from("x"), sha256(Buffer.from("x")), calm());
    expect(await store.size("a")).toBeNull();
    await expect(store.read("a", null, calm())).rejects.toMatchObject({ fault: { code: "store_object_missing" } });
  });

  it("lists no links that lead out of it", async () => {
    const root = await mkdtemp(join(folder, "links-"));
    await writeFile(join(folder, "secret"), "secret");
    await symlink(join(folder, "secret"), join(root, "link"));
    expect(await Array.fromAsync(folderStore(root).list(""))).toEqual([]);
  });
});

describe("the identity of a store", () => {
  it("is refused by name when a newer program wrote it", async () => {
    const store = memoryStore(new Map([["store.json", Buffer.from('{"version":2,"owner":"?"}')]]));
    await expect(readIdentity(store, calm())).rejects.toMatchObject({ fault: { code: "format_unknown" } });
  });
});
