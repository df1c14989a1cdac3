/** What only S3 can get wrong: its own words, its connections, its credentials from elsewhere, and what its requests carry. */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readAll } from "../../stores/object-store.ts";
import { s3Store } from "../../stores/s3.ts";
import { startMiddleman, type Middleman } from "./middleman.ts";
import { endingS3, type Providers } from "./providers.ts";

const calm = () => new AbortController().signal;
const sha256 = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");

export function describeS3(all: () => Providers): void {
  const x = Buffer.from("x");
  describe("s3 store", () => {
    it("says that access is refused when the secret is wrong, without telling it", async () => {
      const refused = all().s3Store({ secret: "not-the-secret" }).read("x", null, calm());
      await expect(refused).rejects.toMatchObject({
        fault: { code: "store_denied", message: expect.not.stringContaining("not-the-secret") },
      });
    });

    it("names a bucket that is not there", async () => {
      const missing = all().s3Store({ bucket: "no-such-bucket-here" }).read("x", null, calm());
      await expect(missing).rejects.toMatchObject({
        fault: { code: "store_invalid", message: expect.stringContaining("no-such-bucket-here") },
      });
    });

    it("is unavailable when nobody listens", async () => {
      const silent = all().s3Store({ endpoint: "http://127.0.0.1:9" }).size("x");
      await expect(silent).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
    });

    it("keeps two prefixes of one bucket apart", async () => {
      const [one, two] = [all().s3Store(), all().s3Store()];
      await one.write("x", Buffer.from("1"), sha256(Buffer.from("1")), calm());
      expect(await two.size("x")).toBeNull();
      expect(await Array.fromAsync(two.list(""))).toEqual([]);
    });
  });

  describe("s3 store on its way to the server", () => {
    const big = randomBytes(24 * 1024 * 1024);
    const through = async (work: (middleman: Middleman, store: ReturnType<Providers["s3Store"]>) => Promise<void>) => {
      const middleman = await startMiddleman(all().s3.endpoint);
      try {
        await work(middleman, all().s3Store({ endpoint: middleman.endpoint }));
      } finally {
        await middleman.stop();
      }
    };

    it("waits and asks again when the server is told to slow down, and says so when it stays slow", async () => {
      await through(async (middleman, store) => {
        middleman.slowDowns = 2;
        expect(await store.write("slow", Buffer.from("body"), sha256(Buffer.from("body")), calm())).toBe("written");
        middleman.slowDowns = 2;
        expect(await store.size("slow")).toBe(4);
        middleman.slowDowns = 1000;
        await expect(store.size("slow")).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
      });
    });

    it("uses one connection for one request after the other", async () => {
      await through(async ({ seen }, store) => {
        for (let n = 0; n < 5; n++) {
          // Large ones too, for which the SDK would wait for leave.
          const body = n % 2 === 0 ? Buffer.from(`body ${n}`) : big.subarray(0, 4 * 1024 * 1024);
          await store.write(`n/${n}`, body, sha256(body), calm());
          expect((await readAll(await store.read(`n/${n}`, null, calm()), "n", body.byteLength)).equals(body)).toBe(true);
        }
        expect(seen.requests).toBe(10);
        expect(seen.connections).toBe(1);
      });
    });

    it("lets go of the connection of a read that is aborted or given up in its middle", async () => {
      await through(async (middleman, store) => {
        await store.write("big", big, sha256(big), calm());
        const before = await middleman.open();
        const stop = new AbortController();
        const aborted = (await store.read("big", null, stop.signal)).getReader();
        await aborted.read();
        stop.abort();
        await expect(drain(aborted)).rejects.toThrow();
        const given = (await store.read("big", null, calm())).getReader();
        await given.read();
        await given.cancel();
        await expect.poll(() => middleman.open(), { timeout: 5000 }).toBeLessThanOrEqual(before);
      });
    });

    it("ends a write that is aborted in its middle, and writes nothing", async () => {
      await through(async (_middleman, store) => {
        const stop = new AbortController();
        const writing = store.write("never", big, sha256(big), stop.signal);
        setImmediate(() => stop.abort());
        await expect(writing).rejects.toMatchObject({ name: "AbortError" });
        expect(await store.size("never")).toBeNull();
      });
    });

    it("presigns with a session's token in the request, and with nothing of its secret", async () => {
      const credentials = { accessKeyId: all().s3.accessKey, secretAccessKey: all().s3.secretKey, sessionToken: "token/of+a=session" };
      const store = s3Store({ bucket: "images", prefix: "", region: "us-east-1", endpoint: all().s3.endpoint, credentials });
      const body = Buffer.from("granted");
      for (const ask of [{ method: "GET" }, { method: "PUT", sha256: sha256(body) }] as const) {
        const signed = await store.presign?.({ ...ask, key: "session", ttlSeconds: 60 });
        expect(new URL(signed?.url ?? "").searchParams.get("X-Amz-Security-Token")).toBe(credentials.sessionToken);
        expect(JSON.stringify(signed)).not.toContain(all().s3.secretKey);
      }
    });
  });

  describe("s3 store with what the hub's environment offers", () => {
    afterEach(() => vi.unstubAllEnvs());
    /** The environment of a process that has nothing but this. */
    const environment = (variables: Record<string, string>) => {
      for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"]) vi.stubEnv(name, undefined);
      const nowhere = { AWS_SHARED_CREDENTIALS_FILE: "/nowhere", AWS_CONFIG_FILE: "/nowhere", AWS_EC2_METADATA_DISABLED: "true" };
      for (const [name, value] of Object.entries({ ...nowhere, ...variables })) vi.stubEnv(name, value);
    };
    const open = (prefix: string, profile?: string) => {
      const { bucket, s3 } = all();
      return s3Store({ bucket, prefix, region: "us-east-1", endpoint: s3.endpoint, profile, credentials: null });
    };

    it("signs with the variables, and says so when there is nothing to sign with", async () => {
      environment({ AWS_ACCESS_KEY_ID: all().s3.accessKey, AWS_SECRET_ACCESS_KEY: all().s3.secretKey });
      expect(await open("variables/").write("x", x, sha256(x), calm())).toBe("written");
      environment({});
      await expect(open("nothing/").size("x")).rejects.toMatchObject({
        fault: { code: "store_denied", message: "The store refuses access to x: there are no credentials." },
      });
    });

    it("signs with a profile, and with what its file holds by now once the old keys are refused", async () => {
      const folder = await mkdtemp(join(tmpdir(), "drover-profile-"));
      const file = join(folder, "credentials");
      const keep = ({ accessKey, secretKey }: { accessKey: string; secretKey: string }) =>
        writeFile(file, `[images]\naws_access_key_id = ${accessKey}\naws_secret_access_key = ${secretKey}\n`);
      environment({ AWS_SHARED_CREDENTIALS_FILE: file });
      await keep(all().s3.keys());
      const store = open("profile/", "images");
      expect(await store.write("x", x, sha256(x), calm())).toBe("written");
      const { expire, restore } = await endingS3(all(), all().s3.endpoint);
      await expire();
      await keep(all().s3.keys());
      expect(await Promise.all([store.size("x"), store.size("x"), store.size("y")])).toEqual([1, 1, null]);
      await restore();
      await rm(folder, { recursive: true });
    });
  });

  describe("an s3 request", () => {
    const signed = (change: Partial<Parameters<typeof s3Store>[0]>) =>
      s3Store({
        bucket: "images",
        prefix: "",
        region: "eu-1",
        endpoint: "https://storage.example.com",
        credentials: { accessKeyId: "a", secretAccessKey: "s" },
        ...change,
      }).presign?.({ method: "PUT", key: "x", sha256: sha256(x), ttlSeconds: 60 });

    it("has the bucket in its path, or in its host name where that is asked for", async () => {
      expect((await signed({}))?.url).toContain("https://storage.example.com/images/x?");
      expect((await signed({ style: "host" }))?.url).toContain("https://images.storage.example.com/x?");
      expect((await signed({ endpoint: undefined }))?.url).toContain("https://images.s3.eu-1.amazonaws.com/x?");
    });

    it("asks for the encryption that the location names, also where a host sends it", async () => {
      const seen: IncomingHttpHeaders[] = [];
      const middleman = await startMiddleman(all().s3.endpoint);
      middleman.lie = ({ headers }) => (seen.push(headers), { status: 400 });
      const asked = { sse: "kms", kmsKey: "alias/images" } as const;
      const headers = { "x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "alias/images" };
      const credentials = { accessKeyId: "a", secretAccessKey: "s" };
      const store = s3Store({ bucket: "images", prefix: "", region: "eu-1", endpoint: middleman.endpoint, credentials, ...asked });
      await store.write("x", x, sha256(x), calm()).catch(() => undefined);
      expect(seen[0]).toMatchObject(headers);
      await middleman.stop();
      const grant = await signed(asked);
      expect(grant?.headers).toMatchObject(headers);
      expect(grant?.url).toContain("x-amz-server-side-encryption-aws-kms-key-id");
      expect((await signed({ sse: "s3" }))?.headers).toMatchObject({ "x-amz-server-side-encryption": "AES256" });
    });
  });
}

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done);
}
