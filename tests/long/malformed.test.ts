/**
 * Ten thousand malformed requests over all routes, as a super user and as one who only reads.
 *
 * The seed is printed; DROVER_TEST_SEED repeats a run.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { testSeed } from "../crash/random.ts";
import { openMalformed } from "../security/malformed/round.ts";

const seed = testSeed();
let line: Awaited<ReturnType<typeof openMalformed>>;
beforeAll(async () => {
  line = await openMalformed();
}, 180_000);
afterAll(() => line?.close());

it(`10,000 malformed requests: no fault of the server, none over two seconds, no stack, no secret (seed ${seed})`, async () => {
  const { wrong, statuses } = await line.round({ count: 10_000, seed, limitMs: 2_000 });
  process.stdout.write(
    `${[...statuses]
      .toSorted(([a], [b]) => a - b)
      .map(([status, count]) => `${status}: ${count}`)
      .join(", ")}\n`,
  );
  expect(wrong).toEqual([]);
  for (const page of ["healthz", "readyz"]) expect((await fetch(`http://127.0.0.1:${line.port}/${page}`)).status).toBe(200);
});
