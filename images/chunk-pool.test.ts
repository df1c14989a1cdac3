/** A pool may be closed at any moment: threads that were just begun end by themselves, and take nothing with them. */
import { setTimeout as after } from "node:timers/promises";
import { expect, it } from "vitest";
import { openChunkPool } from "./chunk-pool.ts";

/** From before a thread runs at all until after it has loaded all that it needs. */
const momentsMs = Array.from({ length: 10 }, (_, n) => n * 16);

it("ends well at any moment of its threads' beginning", async () => {
  for (const momentMs of momentsMs) {
    const pool = openChunkPool(2);
    pool.warm();
    await after(momentMs);
    await expect(pool.close()).resolves.toBeUndefined();
  }
}, 60_000);
