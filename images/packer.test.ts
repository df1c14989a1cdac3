/** However slow a store is, no more bytes are on their way to it than one pack holds; those of three more are noted and wait, and nobody fills memory beyond that. */
import { randomBytes } from "node:crypto";
import { expect, it } from "vitest";
import { chunkBytes, packBytes } from "./format.ts";
import { freeLine } from "./line.ts";
import { openPacker } from "./packer.ts";

const hash = Buffer.alloc(32);
const body = randomBytes(chunkBytes);

it.each([1, 4, 8])("sends %i packs side by side that together hold what one may", async (parallel) => {
  const ways: { bytes: number; arrive: () => void }[] = [];
  let [mostBytes, noted, sent] = [0, 0, 0];
  const packer = openPacker(
    {
      parallel,
      line: freeLine,
      signal: new AbortController().signal,
      journal: { packs: [], begin: async () => void noted++, finish: async () => undefined, close: async () => undefined },
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
            mostBytes = Math.max(
              mostBytes,
              ways.reduce((sum, one) => sum + one.bytes, 0),
            );
          }),
      },
      onFull: () => undefined,
      onSent: ({ bytes }) => void (sent += bytes),
    },
    0,
  );
  const chunks = (6 * packBytes) / chunkBytes;
  let taken = 0;
  const filling = (async () => {
    for (; taken < chunks; taken++) {
      await packer.room();
      packer.take(hash, body);
    }
    await packer.finish();
  })();
  await expect.poll(() => [ways.length, noted]).toEqual([parallel, 4 * parallel]);
  expect(taken * chunkBytes).toBeLessThanOrEqual(4 * packBytes + (2 * packBytes) / parallel);
  const clearing = setInterval(() => ways[0]?.arrive(), 1);
  await filling.finally(() => clearInterval(clearing));
  expect({ sent, mostBytes }).toEqual({ sent: 6 * packBytes, mostBytes: packBytes });
});
