/**
 * What it means to be a store: the promises that every adapter is held to.
 *
 * An adapter is right when it passes this suite against the real thing, and the engine may rely on nothing that is not asked here.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import { claimStore } from "./identity.ts";
import { readAll, type ByteRange, type ObjectStore } from "./object-store.ts";

const sha256 = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");
const calm = () => new AbortController().signal;

/** `open` answers an empty store each time. */
export function describeObjectStore(name: string, open: () => Promise<ObjectStore>): void {
  const put = (store: ObjectStore, key: string, body: Uint8Array) => store.write(key, body, sha256(body), calm());
  const get = async (store: ObjectStore, key: string, range: ByteRange | null = null) =>
    readAll(await store.read(key, range, calm()), key, 1 << 26);

  describe(`object store: ${name}`, () => {
    it("gives back what was written, whole and by range", async () => {
      const store = await open();
      const body = randomBytes(3_000_001);
      expect(await put(store, "packs/aa/one", body)).toBe("written");
      expect((await get(store, "packs/aa/one")).equals(body)).toBe(true);
      const part = await get(store, "packs/aa/one", { offsetBytes: 1_234_567, lengthBytes: 65_537 });
      expect(part.equals(body.subarray(1_234_567, 1_234_567 + 65_537))).toBe(true);
      expect(await store.size("packs/aa/one")).toBe(3_000_001);
    });

    it("says of an object that has lost its end that it is damaged, not that it is missing or away", async () => {
      const store = await open();
      await put(store, "short", Buffer.from("0123456789"));
      expect((await get(store, "short", { offsetBytes: 8, lengthBytes: 5 })).toString()).toBe("89");
      await expect(get(store, "short", { offsetBytes: 12, lengthBytes: 5 })).rejects.toMatchObject({ fault: { code: "content_corrupt" } });
    });

    it("keeps an empty object", async () => {
      const store = await open();
      expect(await put(store, "empty", new Uint8Array())).toBe("written");
      expect(await store.size("empty")).toBe(0);
      expect((await get(store, "empty")).byteLength).toBe(0);
    });

    it("finds an object present instead of replacing it", async () => {
      const store = await open();
      await put(store, "once", Buffer.from("first"));
      expect(await put(store, "once", Buffer.from("second"))).toBe("present");
      expect((await get(store, "once")).toString()).toBe("first");
    });

    it("lets exactly one of many writers of a key win", async () => {
      const store = await open();
      const outcomes = await Promise.all(Array.from({ length: 8 }, (_, n) => put(store, "race", Buffer.from(`writer ${n}`))));
      expect(outcomes.filter((outcome) => outcome === "written")).toHaveLength(1);
    });

    it("writes nothing when the bytes do not have the announced SHA-256", async () => {
      const store = await open();
      const wrong = store.write("wrong", Buffer.from("these bytes"), sha256(Buffer.from("other bytes")), calm());
      await expect(wrong).rejects.toMatchObject({ fault: { code: "content_corrupt" } });
      expect(await store.size("wrong")).toBeNull();
    });

    it("answers null for the size of what is not there, and a fault for its bytes", async () => {
      const store = await open();
      expect(await store.size("packs/no/thing")).toBeNull();
      await expect(store.read("packs/no/thing", null, calm())).rejects.toMatchObject({ fault: { code: "store_object_missing" } });
      await expect(store.read("packs/no/thing", { offsetBytes: 0, lengthBytes: 1 }, calm())).rejects.toMatchObject({
        fault: { code: "store_object_missing" },
      });
    });

    it("lists what lies below a prefix, with sizes, and nothing else", async () => {
      const store = await open();
      for (const key of ["a/1", "a/b/2", "a/b/33", "ab/4"]) await put(store, key, Buffer.from(key));
      const found = (await Array.fromAsync(store.list("a/"))).map(({ key, bytes }) => `${key} ${bytes}`);
      expect(found.sort()).toEqual(["a/1 3", "a/b/2 5", "a/b/33 6"]);
      expect(await Array.fromAsync(store.list("none/"))).toEqual([]);
    });

    it("tells when each object was written", async () => {
      const store = await open();
      // Stores tell whole seconds, by a clock of their own; the one of a test is this computer's.
      const before = Date.now() - 2000;
      await put(store, "times/one", Buffer.from("one"));
      const [found] = await Array.fromAsync(store.list("times/"));
      expect(found?.modifiedAt.getTime()).toBeGreaterThanOrEqual(before);
      expect(found?.modifiedAt.getTime()).toBeLessThanOrEqual(Date.now() + 2000);
    });

    it("removes twice as well as once, and takes the key again afterwards", async () => {
      const store = await open();
      await put(store, "gone", Buffer.from("x"));
      await store.remove("gone");
      await store.remove("gone");
      expect(await store.size("gone")).toBeNull();
      expect(await put(store, "gone", Buffer.from("y"))).toBe("written");
    });

    it("refuses keys that could leave its prefix", async () => {
      const store = await open();
      for (const key of ["../x", "/x", "a/../../x", "a//b", "", "a/.", "a\0b", "a/\\..\\b"]) {
        await expect(put(store, key, Buffer.from("x")), key).rejects.toMatchObject({ fault: { code: "store_invalid" } });
      }
    });

    it("stops before it begins when the signal has fired", async () => {
      const store = await open();
      const fired = AbortSignal.abort();
      const body = Buffer.from("late");
      await expect(store.write("late", body, sha256(body), fired)).rejects.toMatchObject({ name: "AbortError" });
      expect(await store.size("late")).toBeNull();
    });

    it("belongs to the first hub that claims it", async () => {
      const store = await open();
      const mine = await claimStore(store, "hub-1", calm());
      expect(await claimStore(store, "hub-1", calm())).toEqual(mine);
      await expect(claimStore(store, "hub-2", calm())).rejects.toMatchObject({ fault: { code: "store_foreign" } });
    });

    it("belongs to one hub when several claim it at once", async () => {
      const store = await open();
      const claims = await Promise.allSettled(Array.from({ length: 4 }, (_, n) => claimStore(store, `hub-${n}`, calm())));
      expect(claims.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    });

    it("presigns reads that work without credentials, where it presigns at all", async () => {
      const store = await open();
      const key = `granted/${randomUUID()}`;
      const body = randomBytes(100_000);
      await put(store, key, body);
      const grant = await store.presign?.({ method: "GET", key, ttlSeconds: 60 });
      if (!grant) return;
      const part = await fetch(grant.url, { headers: { ...grant.headers, range: "bytes=10-19" } });
      expect(Buffer.from(await part.arrayBuffer()).equals(body.subarray(10, 20))).toBe(true);
    });

    it("presigns writes of the announced bytes only, once, where it presigns any", async () => {
      const store = await open();
      const body = randomBytes(100_000);
      const key = `granted/${randomUUID()}`;
      const write = await store.presign?.({ method: "PUT", key, sha256: sha256(body), ttlSeconds: 60 });
      if (!write) return;
      const other = await fetch(write.url, { method: "PUT", headers: write.headers, body: randomBytes(100_000) });
      expect(other.ok).toBe(false);
      expect(await store.size(key)).toBeNull();
      const written = await fetch(write.url, { method: "PUT", headers: write.headers, body: Uint8Array.from(body) });
      expect(written.ok, await written.text()).toBe(true);
      const again = await fetch(write.url, { method: "PUT", headers: write.headers, body: Uint8Array.from(body) });
      expect(again.status).toBe(412);
    });
  });
}
