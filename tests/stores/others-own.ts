/** What only Azure or only Artifactory can get wrong, and what a certificate that nobody knows does to any of them. */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContainerClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { afterEach, describe, expect, it, vi } from "vitest";
import { azureStore } from "../../stores/azure.ts";
import { readAll, type ObjectStore } from "../../stores/object-store.ts";
import { openStore } from "../../stores/open.ts";
import { startAzureServer } from "./azure-server.ts";
import type { Providers } from "./providers.ts";
import { selfSigned, startTlsFront } from "./tls.ts";

const calm = () => new AbortController().signal;
const sha256 = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");
const x = Buffer.from("x");
const put = (store: ObjectStore, key: string, body: Uint8Array) => store.write(key, body, sha256(body), calm());

export function describeAzure(all: () => Providers): void {
  afterEach(() => vi.unstubAllEnvs());

  describe("azure store", () => {
    it("says that access is refused when the key is wrong, without telling it", async () => {
      const accountKey = Buffer.from("not the key").toString("base64");
      const refused = put(all().azureStore({ accountKey }), "x", x);
      await expect(refused).rejects.toMatchObject({
        fault: { code: "store_denied", message: "The store refuses access to x: AuthorizationFailure." },
      });
    });

    it("names a container that is not there", async () => {
      const store = all().azureStore({ container: "no-such-container" });
      const missing = [put(store, "x", x), store.size("x"), store.read("x", null, calm()), Array.fromAsync(store.list(""))];
      const fault = { code: "store_invalid", message: expect.stringContaining("no-such-container") };
      for (const outcome of await Promise.allSettled(missing)) expect(outcome).toMatchObject({ status: "rejected", reason: { fault } });
    });

    it("hands nothing on of a SAS that it was given, and signs no writes, which could not be bound to their bytes", async () => {
      const bySas = all().azureStore({ sas: "sp=r&sig=secret" });
      expect(await bySas.presign?.({ method: "GET", key: "x", ttlSeconds: 60 })).toBeNull();
      expect(
        await all()
          .azureStore()
          .presign?.({ method: "PUT", key: "x", sha256: sha256(x), ttlSeconds: 60 }),
      ).toBeNull();
    });

    it("reads, writes and signs in the name of a managed identity", async () => {
      const folder = await mkdtemp(join(tmpdir(), "drover-identity-"));
      const [tls, identities] = [await selfSigned(), await startIdentities()];
      const [certificatePath, keyPath] = [join(folder, "server.pem"), join(folder, "server.key")];
      await Promise.all([writeFile(certificatePath, tls.certificate), writeFile(keyPath, tls.privateKey)]);
      const server = await startAzureServer({ certificatePath, keyPath });
      try {
        vi.stubEnv("IDENTITY_ENDPOINT", identities.endpoint);
        vi.stubEnv("IDENTITY_HEADER", identities.header);
        const place = { account: server.account, container: "images", prefix: "" };
        await makeContainer(server, "images", tls.certificate);
        const store = azureStore({ ...place, endpoint: server.endpoint, ca: tls.certificate, credentials: null });
        expect(await put(store, "x", x)).toBe("written");
        expect((await readAll(await store.read("x", null, calm()), "x", 10)).toString()).toBe("x");
        const grant = await store.presign?.({ method: "GET", key: "x", ttlSeconds: 60 });
        expect(new URL(grant?.url ?? "").searchParams.get("skoid")).toBeTruthy();
        expect(identities.seen).toBeGreaterThan(0);
      } finally {
        await Promise.all([server.stop(), identities.stop(), rm(folder, { recursive: true })]);
      }
    });
  });
}

/** With the account's key, since no identity may do it in this test. */
async function makeContainer(
  { endpoint, account, accountKey }: { endpoint: string; account: string; accountKey: string },
  name: string,
  ca: string,
) {
  vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
  await new ContainerClient(`${endpoint}/${name}`, new StorageSharedKeyCredential(account, accountKey)).create();
  vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", undefined);
  return ca;
}

/** What a computer in the cloud asks for its identity: a token for the storage, by a secret header. */
async function startIdentities() {
  const header = randomBytes(12).toString("hex");
  const seen = { count: 0 };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const server = createServer((asked, answer) => {
    if (asked.headers["x-identity-header"] !== header) return answer.writeHead(401).end();
    seen.count++;
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      aud: "https://storage.azure.com",
      iss: "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
      tid: "ab1f708d-50f6-404c-a006-d71b2ac7a606",
      oid: "23657296-5cd5-45b0-a809-d972a7f4dfe1",
      nbf: now - 60,
      iat: now - 60,
      exp: now + 3600,
    };
    const token = `${part({ typ: "JWT", alg: "RS256" })}.${part(claims)}.${Buffer.from("signature").toString("base64url")}`;
    answer.writeHead(200, { "content-type": "application/json" });
    answer.end(JSON.stringify({ access_token: token, expires_on: String(now + 3600), resource: claims.aud, token_type: "Bearer" }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/msi/token`,
    header,
    get seen() {
      return seen.count;
    },
    stop: () => new Promise<void>((resolve) => void server.close(() => resolve()).closeAllConnections()),
  };
}

export function describeArtifactory(all: () => Providers): void {
  describe("artifactory store", () => {
    it("is let in by a key, by a token, or by a name and a password, and by nothing else", async () => {
      const { apiKey, token, username, password } = all().artifactory;
      for (const credentials of [{ apiKey }, { token }, { username, password }])
        expect(await put(all().artifactoryStore({ credentials }), "x", x)).toBe("written");
      const wrong = put(all().artifactoryStore({ credentials: { username, password: "not-the-password" } }), "x", x);
      await expect(wrong).rejects.toMatchObject({
        fault: { code: "store_denied", message: "The store refuses access to x: it does not know the credentials." },
      });
    });

    it("names a repository that is not there", async () => {
      const missing = put(all().artifactoryStore({ repo: "no-such-repo" }), "x", x);
      await expect(missing).rejects.toMatchObject({ fault: { code: "store_invalid", message: expect.stringContaining("no-such-repo") } });
    });

    it("sends no bytes that the server has under another name", async () => {
      const { seen } = all().artifactory;
      const body = randomBytes(1_000_000);
      await put(all().artifactoryStore(), "one", body);
      const before = seen.receivedBytes;
      const other = all().artifactoryStore();
      expect(await put(other, "two", body)).toBe("written");
      expect(seen.receivedBytes).toBe(before);
      expect((await readAll(await other.read("two", null, calm()), "two", 1 << 20)).equals(body)).toBe(true);
    });

    it("signs nothing for others", () => expect(all().artifactoryStore().presign).toBeUndefined());
  });
}

export function describeAuthorities(all: () => Providers): void {
  describe("a store behind a certificate of one's own", () => {
    it.each(["s3", "azure", "artifactory"] as const)(
      "is trusted by the file that the location of %s names, and by nothing else",
      async (kind) => {
        const folder = await mkdtemp(join(tmpdir(), "drover-ca-"));
        const tls = await selfSigned();
        const ca = join(folder, "ca.pem");
        await writeFile(ca, tls.certificate);
        const front = await startTlsFront(all()[kind].endpoint, tls);
        const open = opener(all(), kind, front.endpoint);
        await expect(open({}).size("x")).rejects.toMatchObject({
          fault: { code: "store_unavailable", message: expect.stringContaining("SELF_SIGNED") },
        });
        const store = open({ ca });
        expect(await put(store, "x", x)).toBe("written");
        expect((await readAll(await store.read("x", null, calm()), "x", 10)).toString()).toBe("x");
        if (kind !== "artifactory") expect(store.authority).toBe(tls.certificate);
        expect(() => open({ ca: join(folder, "none.pem") })).toThrow("cannot be read on the hub");
        await Promise.all([front.stop(), rm(folder, { recursive: true })]);
      },
    );
  });
}

export function opener({ s3, azure, artifactory, bucket, container }: Providers, kind: "s3" | "azure" | "artifactory", endpoint: string) {
  const { accessKey: accessKeyId, secretKey: secretAccessKey } = s3.keys();
  return (change: { ca?: string }): ObjectStore => {
    if (kind === "s3")
      return openStore({ kind, bucket, prefix: "tls/", region: "us-east-1", endpoint, ...change }, { accessKeyId, secretAccessKey });
    if (kind === "azure")
      return openStore({ kind, account: azure.account, container, prefix: "tls/", endpoint, ...change }, { accountKey: azure.accountKey });
    return openStore({ kind, repo: artifactory.repo, prefix: "tls/", endpoint, ...change }, { apiKey: artifactory.apiKey });
  };
}
