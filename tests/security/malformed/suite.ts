/**
 * What every suite of malformed requests has in common: an API that is listened to, a seed that is printed and taken back, and what must hold afterwards.
 *
 * The one idea: the suites differ only in how many they send and how soon each must be answered.
 */
import { afterAll, beforeAll, expect } from "vitest";
import { testSeed } from "../../crash/random.ts";
import { openMalformed } from "./round.ts";

export function malformedRequests() {
  const seed = testSeed();
  let line: Awaited<ReturnType<typeof openMalformed>>;
  beforeAll(async () => {
    line = await openMalformed();
  }, 180_000);
  afterAll(() => line?.close());

  /** Sends so many; answers how often each status came. */
  async function mustBeRefused(round: { count: number; limitMs: number }): Promise<Map<number, number>> {
    const { wrong, statuses } = await line.round({ ...round, seed });
    expect(wrong).toEqual([]);
    for (const page of ["healthz", "readyz"]) expect((await fetch(`http://127.0.0.1:${line.port}/${page}`)).status).toBe(200);
    return statuses;
  }
  return { seed, port: () => line.port, mustBeRefused };
}
