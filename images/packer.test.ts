/** However slow a store is, no more bytes are on their way to it than one pack holds; those of three more are noted and wait, and nobody fills memory beyond that. */
import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { chunkBytes, packBytes } from "./format.ts";
import { freeLine } from "./line.ts";
import { openPackWidth, type PackWidth } from "./pack-width.ts";
import { openPacker } from "./packer.ts";

const hash = Buffer.alloc(32);
const body = randomBytes(chunkBytes);

/** A packer, and the packs that are on their way from it until they are let arrive. */
function onTheWay(width: PackWidth) {
  const ways: { bytes: number; arrive: () => void }[] = [];
  const seen = { mostBytes: 0, noted: 0, sent: 0 };
  const packer = openPacker(
    {
      width,
      line: freeLine,
      signal: new AbortController().signal,
      journal: { packs: [], begin: async () => void seen.noted++, finish: async () => undefined, close: async () => undefined },
      store: {
        write: (_key, { byteLength: bytes }) =>
          new Promise((resolve) => {
            const way = {
              bytes,
              arrive: () => {
                ways.splice(ways.indexOf(way), 1);
                resolve("written");
              },
            };
            ways.push(way);
            seen.mostBytes = Math.max(
              seen.mostBytes,
              ways.reduce((sum, one) => sum + one.bytes, 0),
            );
          }),
      },
      onFull: () => undefined,
      onSent: ({ bytes }) => void (seen.sent += bytes),
    },
    0,
  );
  const fill = async (bytes: number, onTaken = (_chunks: number) => {}) => {
    for (let taken = 0; taken * chunkBytes < bytes; taken++) {
      await packer.room();
      packer.take(hash, body);
      onTaken(taken + 1);
    }
    await packer.finish();
  };
  return { ways, seen, fill };
}

it.each([1, 4, 8])("sends %i packs side by side that together hold what one may", async (parallel) => {
  const { ways, seen, fill } = onTheWay(openPackWidth(parallel));
  let taken = 0;
  const filling = fill(6 * packBytes, (chunks) => void (taken = chunks));
  await expect.poll(() => [ways.length, seen.noted]).toEqual([parallel, 4 * parallel]);
  expect(taken * chunkBytes).toBeLessThanOrEqual(4 * packBytes + (2 * packBytes) / parallel);
  const clearing = setInterval(() => ways[0]?.arrive(), 1);
  await filling.finally(() => clearInterval(clearing));
  expect(seen).toMatchObject({ sent: 6 * packBytes, mostBytes: packBytes });
});

it("sends no more at once while packs change their size", async () => {
  let came = 0;
  const { ways, seen, fill } = onTheWay({ current: () => (Math.floor(came / 7) % 2 === 0 ? 4 : 8), came: () => void came++ });
  const filling = fill(8 * packBytes);
  const sizes = new Set<number>();
  const clearing = setInterval(() => {
    ways.forEach(({ bytes }) => sizes.add(bytes));
    ways[0]?.arrive();
  }, 1);
  await filling.finally(() => clearInterval(clearing));
  expect([...sizes]).toEqual(expect.arrayContaining([packBytes / 4, packBytes / 8]));
  expect(seen).toMatchObject({ sent: 8 * packBytes, mostBytes: packBytes });
});
