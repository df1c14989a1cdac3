/**
 * A store that lies or fails, by a middleman on the way to a real one: what is survived, and what is told by which code.
 *
 * The one idea: every provider is held to the same answers, so no caller need know whose bad day it is.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readAll, type ObjectStore } from "../../stores/object-store.ts";
import { randomFrom, testSeed } from "../crash/random.ts";
import { startMiddleman, type Lie, type Middleman } from "./middleman.ts";

const sha256 = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");
const calm = () => new AbortController().signal;

export interface Provider {
  readonly endpoint: () => string;
  /** A store at that prefix, reached at that endpoint. */
  readonly open: (endpoint: string, prefix: string) => ObjectStore;
  /** A store whose credentials end when told, at that endpoint. */
  readonly expiring: (endpoint: string) => Promise<{ store: ObjectStore; expire: () => Promise<void>; restore?: () => Promise<void> }>;
}

const seed = testSeed();

/** Larger than what travels in one piece. */
const bytes = 600_000;

export function describeLies(name: string, provider: Provider): void {
  describe(`a bad day of ${name}`, () => {
    let middleman: Middleman;
    let store: ObjectStore;
    const whole = randomBytes(bytes);
    const prefix = `${randomUUID()}/`;
    const put = (key: string, body: Buffer = whole) => store.write(key, body, sha256(body), calm());
    const get = async (key: string, range: Parameters<ObjectStore["read"]>[1] = null) =>
      readAll(await store.read(key, range, calm()), key, 1 << 24);
    /** Lies to the next requests of a method, one each. */
    const lieTo = (method: string, ...lies: Lie[]) =>
      void (middleman.lie = (asked: IncomingMessage) => (asked.method === method ? (lies.shift() ?? null) : null));
    const always = (lie: Lie) => void (middleman.lie = () => lie);

    beforeAll(async () => {
      middleman = await startMiddleman(provider.endpoint());
    });
    // Opened anew: tries again are paid from what one store has earned.
    beforeEach(async () => {
      store = provider.open(middleman.endpoint + new URL(provider.endpoint()).pathname.replace(/^\/$/, ""), prefix);
      await put("whole");
    });
    afterEach(() => {
      middleman.lie = () => null;
      middleman.bytesPerSecond = null;
    });
    afterAll(() => middleman.stop());

    it(`reads on where the connection was dropped, whole and by range, wherever that was (DROVER_TEST_SEED=${seed})`, async () => {
      const random = randomFrom(seed);
      const range = { offsetBytes: 100_000, lengthBytes: 400_000 };
      for (let n = 0; n < 5; n++) {
        const at = Array.from({ length: 3 }, () => ({ dropAt: Math.floor(random.between(0, 400_000)) }));
        lieTo("GET", ...at);
        expect((await get("whole")).equals(whole), JSON.stringify(at)).toBe(true);
        lieTo("GET", ...at);
        expect((await get("whole", range)).equals(whole.subarray(100_000, 500_000)), JSON.stringify(at)).toBe(true);
      }
    });

    it("is away when every answer breaks off before it says anything new", async () => {
      always({ dropAt: 0 });
      await expect(get("whole")).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
    });

    it("completes an answer to a range that is shorter than it should be, and believes no shorter object", async () => {
      lieTo("GET", { shorterBy: 1000 });
      const range = { offsetBytes: 10, lengthBytes: 300_000 };
      expect((await get("whole", range)).equals(whole.subarray(10, 300_010))).toBe(true);
      lieTo("GET", { shorterBy: 1000 });
      await expect(get("whole")).rejects.toMatchObject({ fault: { code: "content_corrupt" } });
    });

    it("finds one wrong bit in a whole object", async () => {
      lieTo("GET", { flipAt: 300_000 });
      await expect(get("whole")).rejects.toMatchObject({ fault: { code: "content_corrupt" } });
    });

    it("writes nothing when a bit changes on the way, and says so", async () => {
      always({ spoilAt: 1000 });
      await expect(put("spoiled", randomBytes(bytes))).rejects.toMatchObject({ fault: { code: "content_corrupt" } });
      middleman.lie = () => null;
      expect(await store.size("spoiled")).toBeNull();
    });

    it("survives a few failures of any verb, and tells when they do not end", async () => {
      for (const status of [500, 502, 503, 429]) {
        lieTo("GET", { status }, { status });
        expect((await get("whole")).equals(whole)).toBe(true);
      }
      for (const method of ["HEAD", "PUT", "GET", "DELETE"]) {
        lieTo(method, { status: 500 }, { status: 503 });
        const key = `verbs/${method}`;
        await put(key);
        expect(await store.size(key)).toBe(bytes);
        expect((await Array.fromAsync(store.list(key))).map((found) => found.key)).toEqual([key]);
        await store.remove(key);
        expect(await store.size(key)).toBeNull();
      }
      always({ status: 503 });
      const failing = [put("never"), store.size("whole"), store.remove("whole"), get("whole"), Array.fromAsync(store.list("whole"))];
      for (const outcome of await Promise.allSettled(failing))
        expect(outcome).toMatchObject({ status: "rejected", reason: { fault: { code: "store_unavailable" } } });
    });

    it("waits as long as the store asks it to", async () => {
      lieTo("HEAD", { status: 503, headers: { "retry-after": "1" } }, { status: 429, headers: { "retry-after": "1" } });
      const begun = performance.now();
      expect(await store.size("whole")).toBe(bytes);
      expect(performance.now() - begun).toBeGreaterThan(1990);
      always({ status: 503, headers: { "retry-after": "3600" } });
      await expect(store.size("whole")).rejects.toMatchObject({
        fault: { code: "store_unavailable", details: { retryAfterMs: 3_600_000 } },
      });
    });

    it("sends a write again that broke off on its way, and makes nothing visible of the first", async () => {
      lieTo("PUT", { breakAt: 200_000 }, { breakAt: 0 });
      // Bytes that a server knows already may not travel at all.
      const body = randomBytes(bytes);
      await put("broken", body);
      expect((await get("broken")).equals(body)).toBe(true);
      always({ breakAt: 200_000 });
      await expect(put("half", randomBytes(bytes))).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
      middleman.lie = () => null;
      expect(await store.size("half")).toBeNull();
    });

    it("waits for a slow store, which is not one that is away", async () => {
      middleman.bytesPerSecond = 1_500_000;
      expect((await get("whole")).equals(whole)).toBe(true);
    });

    it("says that it is refused when its credentials end in the middle, without telling them, and goes on with others", async () => {
      const { store: own, expire, restore } = await provider.expiring(provider.endpoint());
      await own.write("mine", whole, sha256(whole), calm());
      await expire();
      const refused = await own.read("mine", null, calm()).then(null, (error: unknown) => error);
      expect(refused).toMatchObject({ fault: { code: "store_denied" } });
      expect(JSON.stringify(refused)).not.toMatch(/sig=|secret|Signature=|Basic /i);
      await expect(own.write("other", whole, sha256(whole), calm())).rejects.toMatchObject({ fault: { code: "store_denied" } });
      if (!restore) return;
      await restore();
      expect(await own.size("mine")).toBe(bytes);
    });
  });
}
