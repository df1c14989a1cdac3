/** Whoever reads gets each byte once and in its place, however often the answer breaks off; what never becomes whole is a fault. */
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { readAll, type ByteRange } from "./object-store.ts";
import { retrier } from "./retry.ts";
import { expectedBytes, steadyRead, type OpenedRead } from "./steady-read.ts";

const whole = randomBytes(100_000);
const digest = { algorithm: "sha256", hex: createHash("sha256").update(whole).digest("hex") } as const;
const part = (range: ByteRange | null) => (range ? whole.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes) : whole);
const broken = (bytes: Uint8Array) =>
  Readable.from(
    (async function* () {
      yield bytes;
      throw new Error("ECONNRESET");
    })(),
  );

function reading(open: (range: ByteRange | null, times: number) => OpenedRead, range: ByteRange | null = null) {
  let times = 0;
  const signal = new AbortController().signal;
  return steadyRead({ key: "k", range, open: async (wanted) => open(wanted, times++), retry: retrier(() => 0), signal, silentMs: 100 });
}

describe("a steady read", () => {
  it.each([null, { offsetBytes: 1234, lengthBytes: 50_000 }])(
    "is whole although every answer breaks off or ends early (%o)",
    async (range) => {
      const stream = await reading((wanted, times) => {
        const body = part(wanted);
        const some = body.subarray(0, Math.min(9_973, body.length));
        if (some.length === body.length) return { body: Readable.from([body]), bytes: body.length };
        return { body: times % 2 === 0 ? broken(some) : Readable.from([some]), bytes: body.length, digest };
      }, range);
      if (range) return expect((await readAll(stream, "k", 1 << 20)).equals(part(range))).toBe(true);
      expect((await readAll(stream, "k", 1 << 20)).equals(whole)).toBe(true);
    },
  );

  it("says how far it came when no answer carries a byte more", async () => {
    const stream = await reading((wanted, times) => ({
      body: broken(times === 0 ? whole.subarray(0, 10) : new Uint8Array()),
      bytes: part(wanted).length,
    }));
    await expect(readAll(stream, "k", 1 << 20)).rejects.toMatchObject({
      fault: { code: "store_unavailable", message: "The store failed on k: its answer broke off after 10 of 100000 bytes." },
    });
  });

  it("gives up an answer that falls silent and goes on with another", async () => {
    const silent = () => new Readable({ read() {} });
    const stream = await reading((_wanted, times) => ({ body: times < 2 ? silent() : Readable.from([whole]), bytes: whole.length }));
    expect((await readAll(stream, "k", 1 << 20)).equals(whole)).toBe(true);
  });

  it("does not pass off wrong or surplus bytes as right ones", async () => {
    const wrong = Buffer.from(whole);
    wrong[70_000] = (wrong[70_000] ?? 0) ^ 1;
    const corrupt = { fault: { code: "content_corrupt" } };
    const flipped = await reading(() => ({ body: Readable.from([wrong]), bytes: whole.length, digest }));
    await expect(readAll(flipped, "k", 1 << 20)).rejects.toMatchObject(corrupt);
    const surplus = await reading(() => ({ body: Readable.from([whole, Buffer.from("more")]), bytes: whole.length }));
    await expect(readAll(surplus, "k", 1 << 20)).rejects.toMatchObject(corrupt);
  });
});

it("takes no other range for the one that was asked for", () => {
  const range = { offsetBytes: 10, lengthBytes: 10 };
  expect(expectedBytes("k", range, { contentRange: "bytes 10-19/100" })).toBe(10);
  expect(expectedBytes("k", range, { contentRange: "bytes 10-14/15" })).toBe(5);
  expect(expectedBytes("k", range, { contentRange: "bytes 10-12/100" })).toBe(10);
  expect(() => expectedBytes("k", range, { contentRange: "bytes 0-9/100" })).toThrow("were asked for");
  expect(() => expectedBytes("k", range, { contentLength: 100 })).toThrow("the whole object");
});
