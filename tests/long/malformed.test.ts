/**
 * Ten thousand malformed requests over all routes, as a super user and as one who only reads.
 *
 * The seed is printed; DROVER_TEST_SEED repeats a run.
 */
import { it } from "vitest";
import { malformedRequests } from "../security/malformed/suite.ts";

const requests = malformedRequests();

it(`10,000 malformed requests: no fault of the server, none over two seconds, no stack, no secret (seed ${requests.seed})`, async () => {
  const statuses = await requests.mustBeRefused({ count: 10_000, limitMs: 2_000 });
  const told = [...statuses].toSorted(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
  process.stdout.write(`${told.join(", ")}\n`);
});
