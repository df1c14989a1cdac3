/**
 * Malformed requests over all routes: a sample of the ten thousand that `npm run test:long -- malformed` sends.
 *
 * The seed is printed; DROVER_TEST_SEED repeats a run.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { testSeed } from "../crash/random.ts";
import { overTheLine } from "./malformed/line.ts";
import { openMalformed } from "./malformed/round.ts";

const seed = testSeed();
let line: Awaited<ReturnType<typeof openMalformed>>;
beforeAll(async () => {
  line = await openMalformed();
}, 180_000);
afterAll(() => line?.close());

it("that announce a body where none belongs are answered without waiting for it", async () => {
  const headers: [string, string][] = [["Content-Length", "99999999999"]];
  for (const method of ["TRACE", "GET", "DELETE"]) {
    const raw = { name: method, method, path: "/api/v1/machines", headers, body: Buffer.alloc(0) };
    expect(await overTheLine(line.port, raw, { token: "none", limitMs: 20_000 })).toMatchObject({ hung: false });
  }
});

it(`are refused soon, never as a fault of the server, and told nothing of its insides (seed ${seed})`, async () => {
  // Many suites share the computer here; the long test holds it to two seconds.
  const { wrong, statuses } = await line.round({ count: 400, seed, limitMs: 20_000 });
  expect(wrong).toEqual([]);
  expect(statuses.get(400) ?? 0).toBeGreaterThan(40);
  const health = await fetch(`http://127.0.0.1:${line.port}/healthz`);
  expect(health.status).toBe(200);
}, 300_000);
