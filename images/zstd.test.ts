/** Both ways to compress give back what went in, understand one another, and say when something does not fit or is no compressed chunk. */
import { randomFillSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { chunkBytes } from "./format.ts";
import { builtInCodec, directCodec, type Codec } from "./zstd.ts";

const direct = directCodec();
const codecs: [string, Codec][] = [
  ["Node's own calls", builtInCodec],
  ...(direct ? [["its zstd called directly", direct] as [string, Codec]] : []),
];

const text = Buffer.from("a chunk of words that repeat, ".repeat(20_000)).subarray(0, chunkBytes);
const noise = randomFillSync(Buffer.alloc(chunkBytes));
const mixed = Buffer.concat([text.subarray(0, chunkBytes / 2), noise.subarray(0, chunkBytes / 2)]);

it("the direct calls are to be had in the Node that we pin", () => expect(direct).not.toBeNull());

describe.each(codecs)("%s", (_, codec) => {
  const packed = (plain: Buffer, level: number) => {
    const into = Buffer.alloc(plain.byteLength);
    const bytes = codec.compress(plain, into, level);
    return bytes === null ? null : into.subarray(0, bytes);
  };

  it("compress at every level, in whatever order levels come", () => {
    for (const level of [3, 9, 1, 5, 2, 8, 4, 7, 6, 3]) {
      for (const plain of [text, mixed, text.subarray(0, 1000)]) {
        const stored = packed(plain, level);
        expect(stored?.byteLength, `${level}`).toBeLessThan(plain.byteLength);
        for (const [, other] of codecs) {
          const back = Buffer.alloc(plain.byteLength);
          expect(other.decompress(stored ?? Buffer.alloc(0), back)).toBe(plain.byteLength);
          expect(back.equals(plain)).toBe(true);
        }
      }
    }
  });

  it("answer null for what does not shrink", () => expect(packed(noise, 3)).toBeNull());

  it("answer null for bytes that are no compressed chunk, are cut, or would grow beyond their room", () => {
    const stored = packed(text, 3) ?? Buffer.alloc(0);
    const back = Buffer.alloc(chunkBytes);
    expect(codec.decompress(noise, back)).toBeNull();
    expect(codec.decompress(stored.subarray(0, stored.byteLength - 3), back)).toBeNull();
    expect(codec.decompress(stored, back.subarray(0, 1000))).toBeNull();
  });
});
