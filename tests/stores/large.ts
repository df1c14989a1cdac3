/** Objects that no memory holds, on every provider: whole or not there, in the place of what had their name, and checked. */
import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StoreCredentials } from "../../domain/catalog/store-credentials.ts";
import type { StoreLocation } from "../../domain/catalog/store-location.ts";
import { storeUnavailable } from "../../stores/faults.ts";
import { openLargeObjects } from "../../stores/large-objects.ts";
import { openStore } from "../../stores/open.ts";
import type { Providers } from "./providers.ts";

const calm = () => new AbortController().signal;
const kinds = ["folder", "s3", "azure", "artifactory"] as const;
/** Two blocks of Azure and a part of a third. */
const bytes = 33 * 1024 * 1024 + 7;

/** Pieces of an odd length, so that none ends where a part does. */
async function* pieces(seed: number, total = bytes): AsyncGenerator<Buffer> {
  const piece = Buffer.from(Array.from({ length: 99_991 }, (_, n) => (n * seed) & 255));
  for (let at = 0; at < total; at += piece.byteLength) yield piece.subarray(0, Math.min(piece.byteLength, total - at));
}

async function* broken(): AsyncGenerator<Buffer> {
  yield* pieces(3, 20 * 1024 * 1024);
  throw storeUnavailable("the source", "it went away");
}

async function hashOf(parts: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of parts) hash.update(part);
  return hash.digest("hex");
}

export function describeLargeObjects(all: () => Providers): void {
  describe("a large object", () => {
    let folder: string;
    beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "drover-large-"))));
    afterAll(() => rm(folder, { recursive: true }));

    const placed = (kind: (typeof kinds)[number]): { location: StoreLocation; credentials: StoreCredentials | null } => {
      const { s3, azure, artifactory, bucket, container } = all();
      const prefix = `${randomUUID()}/`;
      if (kind === "folder") return { location: { kind, path: join(folder, prefix) }, credentials: null };
      if (kind === "s3") {
        const { accessKey: accessKeyId, secretKey: secretAccessKey } = s3.keys();
        return {
          location: { kind, bucket, prefix, region: "us-east-1", endpoint: s3.endpoint },
          credentials: { accessKeyId, secretAccessKey },
        };
      }
      if (kind === "azure") {
        const { account, accountKey, endpoint } = azure;
        return { location: { kind, account, container, prefix, endpoint }, credentials: { accountKey } };
      }
      const { repo, endpoint, token } = artifactory;
      return { location: { kind, repo, prefix, endpoint }, credentials: { token } };
    };

    it.each(kinds)("is there whole or not at all, and replaces what had its name: %s", async (kind) => {
      const { location, credentials } = placed(kind);
      const large = openLargeObjects(location, credentials);
      const store = openStore(location, credentials);
      const key = "image/any name ü.pdpack";
      await expect(large.write(key, broken(), calm())).rejects.toMatchObject({
        fault: { code: "store_unavailable", subject: "the source" },
      });
      expect(await store.size(key)).toBeNull();
      for (const seed of [5, 7]) {
        await large.write(key, pieces(seed), calm());
        expect(await store.size(key)).toBe(bytes);
        expect(await hashOf(await store.read(key, null, calm()))).toBe(await hashOf(pieces(seed)));
      }
      const cancelled = AbortSignal.abort();
      await expect(large.write("other", pieces(3), cancelled)).rejects.toThrow(/abort/i);
      expect(await store.size("other")).toBeNull();
      if (location.kind === "folder") expect(await readdir(join(location.path, "~writing"))).toEqual([]);
    });

    it("is refused with what is wrong, and not begun anew for ever, where Artifactory has no such repository or credentials", async () => {
      const { location } = placed("artifactory");
      if (location.kind !== "artifactory") return;
      const { token } = all().artifactory;
      const elsewhere = openLargeObjects({ ...location, repo: "none" }, { token });
      await expect(elsewhere.write("x", pieces(3, 1000), calm())).rejects.toMatchObject({ fault: { code: "store_invalid" } });
      const stranger = openLargeObjects(location, { token: "wrong" });
      await expect(stranger.write("x", pieces(3, 1000), calm())).rejects.toMatchObject({ fault: { code: "store_denied" } });
    });
  });
}
